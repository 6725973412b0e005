"""Operations on quota by chance, for many at once."""

from __future__ import annotations

import random
from collections import Counter

from synnefo_tx.db.pool import Database
from synnefo_tx.faults import OverLimit
from synnefo_tx.identity.quota.model import PROJECT_ITSELF, Provision
from synnefo_tx.identity.quota.operations import Quota


class Rush:
    """Charges, pending charges, settlements and sweeps by chance, and the books of what held."""

    def __init__(
        self,
        database: Database,
        quota: Quota,
        users: list[str],
        projects: list[str],
        resources: list[str],
    ) -> None:
        self._database, self._quota = database, quota
        self._users, self._projects, self._resources = users, projects, resources
        self._picks = random.Random(5)
        self.books: Counter[tuple[str, str, str]] = Counter()
        self.refusals: Counter[str] = Counter()

    async def act(self, number: int) -> None:
        """One operation."""
        picks = self._picks
        wanted = [each for _ in range(2) for each in self._some(picks.choice(self._projects))]
        accept = picks.random() < 0.5
        try:
            if number % 3:
                async with self._database.transaction("charge") as tx:
                    await self._quota.charge(tx, wanted)
                self._book(wanted)
                return
            await self._charge_and_settle(str(number), wanted, accept)
        except OverLimit as fault:
            self.refusals[fault.data["name"]] += 1
        if number % 50 == 0:
            async with self._database.transaction("sweep") as tx:
                await self._quota.sweep(tx)

    async def _charge_and_settle(self, key: str, wanted: list[Provision], accept: bool) -> None:
        async with self._database.transaction("pending") as tx:
            await self._quota.charge_pending(tx, key, wanted)
        async with self._database.transaction("settle") as tx:
            await self._quota.settle(tx, key, accept)
        if accept:
            self._book(wanted)

    def _some(self, project: str) -> list[Provision]:
        picks = self._picks
        return [
            Provision(picks.choice(self._users), project, name, picks.choice([-2, -1, 1, 1, 2, 3]))
            for name in picks.sample(self._resources, picks.randint(1, 3))
        ]

    def _book(self, provisions: list[Provision]) -> None:
        for each in provisions:
            self.books[each.project, each.user, each.resource] += each.quantity
            self.books[each.project, PROJECT_ITSELF, each.resource] += each.quantity
