"""Quota beside what exists: drift is found, and corrected on demand."""

from __future__ import annotations

from uuid import UUID

from attrs import evolve, frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from synnefo_tx.db.connect import connector
from synnefo_tx.db.pool import Database, PoolLimits
from synnefo_tx.identity.quota.model import PROJECT_ITSELF, ActualUsage
from synnefo_tx.identity.quota.operations import Quota
from synnefo_tx.settings import DatabaseSettings
from synnefo_tx.units import GIB
from tests.identity.quota.support import DISK, RAM, VM, QuotaTestCase


@frozen
class Source:
    """A component that has what it is told to have."""

    things: list[ActualUsage]
    resources: tuple[str, ...] = (VM, RAM)

    async def actual_usage(self, tx):
        return self.things


class ReconcileTests(QuotaTestCase):
    async def test_drift_is_found_and_fixed(self) -> None:
        """Where the record is not what exists it is reported, and corrected when asked to."""
        await self.charge(self.own(VM, 2), self.own(DISK, GIB))
        source = Source(
            [
                ActualUsage(self.user, self.user, VM, 3),
                ActualUsage(self.user, self.user, RAM, GIB),
            ]
        )
        found = await self.quota.reconcile(source)
        self.assertEqual(
            {(each.held.member, each.held.resource, each.held.usage_max, each.actual)
             for each in found},
            {
                (self.user, VM, 2, 3), (PROJECT_ITSELF, VM, 2, 3),
                (self.user, RAM, 0, GIB), (PROJECT_ITSELF, RAM, 0, GIB),
            },
        )  # fmt: skip
        self.assertEqual(await self.usage(VM), (2, 2))
        await self.quota.reconcile(source, fix=True)
        self.assertEqual(await self.quota.reconcile(source), [])
        self.assertEqual(await self.usage(VM), (3, 3))
        self.assertEqual(await self.usage(RAM), (GIB, GIB))
        self.assertEqual(await self.usage(DISK), (GIB, GIB))

    async def test_pending_is_left(self) -> None:
        """What lies within a pending charge is no drift, and what does not is not yet corrected."""
        async with self.database.transaction("pending") as tx:
            await self.quota.charge_pending(tx, "s", [self.own(VM, 2)])
        self.assertEqual(
            await self.quota.reconcile(Source([ActualUsage(self.user, self.user, VM, 1)])), []
        )
        found = await self.quota.reconcile(
            Source([ActualUsage(self.user, self.user, VM, 3)]), fix=True
        )
        self.assertEqual([each.pending for each in found], [True, True])
        self.assertEqual(await self.usage(VM), (2, 2))

    async def test_change_since_the_look(self) -> None:
        """A correction is dropped when the holding changed after the look."""
        async with self.database.transaction("look") as tx:
            found = await self.quota.drift(tx, [ActualUsage(self.user, self.user, VM, 1)], [VM])
        await self.charge(self.own(VM, 2))
        async with self.database.transaction("fix") as tx:
            self.assertEqual(await self.quota.fix(tx, found), 0)
        self.assertEqual(await self.usage(VM), (2, 2))

    async def test_many(self) -> None:
        """Thousands of holdings, as after an import, are corrected in short statements."""
        hurried = DatabaseSettings(statement_limit_seconds=1.0)
        database = Database(connector(reactor, self.url, hurried), reactor, PoolLimits())
        self.addCleanup(lambda: Deferred.fromCoroutine(database.close()))
        quota = Quota(database)
        actual = [ActualUsage(str(UUID(int=n + 1)), self.user, VM, 1) for n in range(6000)]
        await quota.reconcile(Source(actual), fix=True)
        doubled = [evolve(each, quantity=2) for each in actual]
        self.assertEqual(len(await quota.reconcile(Source(doubled), fix=True)), 6001)
        self.assertEqual(await quota.reconcile(Source(doubled)), [])
