"""Quota on a test's database, with a user."""

from __future__ import annotations

from synnefo_tx.faults import Fault
from synnefo_tx.identity.quota.model import Provision
from synnefo_tx.identity.quota.operations import Quota
from tests.support.database import DatabaseTestCase
from tests.support.identity import make_user

VM, RAM, DISK = "cyclades.vm", "cyclades.ram", "cyclades.disk"


class QuotaTestCase(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.quota = Quota(self.database)
        self.user = await make_user(self.database, "alice@example.org")

    async def charge(self, *provisions: Provision, **options: bool) -> None:
        async with self.database.transaction("charge") as tx:
            await self.quota.charge(tx, provisions, **options)

    async def refusal(self, *provisions: Provision, **options: bool) -> Fault:
        try:
            await self.charge(*provisions, **options)
        except Fault as fault:
            return fault
        return self.fail("the charge was not refused")

    def own(self, resource: str, quantity: int) -> Provision:
        return Provision(self.user, self.user, resource, quantity)

    async def usage(self, resource: str, project: str | None = None) -> tuple[int, int]:
        listed = (await self.quota.listing(self.user))[project or self.user][resource]
        return listed["usage"], listed["project_usage"]
