"""Fifty callers of one project at once: exact limits, and nothing held by the refused."""

from __future__ import annotations

from collections import Counter

from twisted.internet.defer import Deferred, gatherResults

from synnefo_tx.faults import Fault
from synnefo_tx.settings import Compute, Settings
from tests.support.cloud import CloudTestCase

CALLERS = 50


class FiftyCallersTests(CloudTestCase):
    limits = {
        "connections": 32, "waiting": 1000, "wait_seconds": 60, "statement_seconds": 60,
        "statement_limit_seconds": 60, "transaction_seconds": 60,
    }  # fmt: skip
    settings = Settings(compute=Compute(address_block=4))

    async def setUp(self) -> None:
        await super().setUp()
        for resource in ("vm", "cpu", "ram", "total_cpu", "total_ram", "disk"):
            await self.set_limit(self.user, f"cyclades.{resource}", 2**60)

    async def outcomes(self) -> Counter[int]:
        """Fifty creates at once: how often each status came; all are settled after that."""

        async def one() -> int:
            try:
                await self.create()
            except Fault as fault:
                return fault.status
            return 202

        results = await gatherResults([Deferred.fromCoroutine(one()) for _ in range(CALLERS)])
        await self.settle()
        return Counter(results)

    async def assert_held(self, count: int) -> None:
        """Rows, addresses, room, quota and instances are those of ``count`` servers."""
        held = (
            "SELECT (SELECT count(*) FROM servers WHERE NOT deleted), (SELECT count(*) FROM ports),"
            " (SELECT count(DISTINCT address) FROM ports), (SELECT count(*) FROM volumes),"
            " (SELECT count(*) FROM pool_items WHERE state = 'held' AND holder LIKE 'port:%%'),"
            " (SELECT count(*) FROM server_metadata), (SELECT count(*) FROM server_params),"
            " (SELECT count(*) FROM intents WHERE opcode = 'OP_INSTANCE_CREATE')"
        )
        rows = await self.database.read(held, {})
        self.assertEqual(rows, [(count, count, count, count, count, 0, 0, count)])
        self.assertEqual((await self.usage()).get("cyclades.vm", 0), count)
        self.assertEqual(len(self.instances()), count)
        await self.assert_exact()
        await self.app.ganeti.backends.refresh(1)
        reserved = await self.database.read(
            "SELECT reserved_mib, reserved_disk_mib, reserved_instances,"
            " (SELECT count(*) FROM reservations) FROM backends"
        )
        self.assertEqual(reserved, [(0, 0, 0, 0)])

    async def test_quota(self) -> None:
        """A quota for 8: 8 are built, 42 get 413."""
        await self.set_limit(self.user, "cyclades.vm", 8)
        self.assertEqual(await self.outcomes(), {202: 8, 413: 42})
        await self.assert_held(8)

    async def test_mixed(self) -> None:
        """CPUs for 12, disk for 9, machines for 30: the smallest decides and the sums are right."""
        await self.set_limit(self.user, "cyclades.cpu", 12)
        await self.set_limit(self.user, "cyclades.disk", 9 * 5 * 2**30)
        await self.set_limit(self.user, "cyclades.vm", 30)
        self.assertEqual(await self.outcomes(), {202: 9, 413: 41})
        await self.assert_held(9)


class FewAddressesTests(FiftyCallersTests):
    # Fourteen hosts of a /28, less the gateway and five that are taken beforehand.
    public_cidr = "203.0.113.0/28"

    async def setUp(self) -> None:
        await super().setUp()
        async with self.database.transaction("take") as tx:
            await tx.run(
                "INSERT INTO pool_items (pool, index, state) SELECT id, n, 'reserved'"
                " FROM pools, generate_series(0, 4) AS n WHERE kind = 'ipv4'"
            )

    async def test_addresses(self) -> None:
        """Addresses for 8: 8 are built, 42 get 503."""
        self.assertEqual(await self.outcomes(), {202: 8, 503: 42})
        await self.assert_held(8)

    async def test_quota(self) -> None:
        """Addresses for 8, quota for 5: 5 are built, nobody holds what they were refused for."""
        await self.set_limit(self.user, "cyclades.vm", 5)
        outcomes = await self.outcomes()
        self.assertEqual((outcomes[202], sum(outcomes.values())), (5, CALLERS))
        await self.assert_held(5)

    async def test_mixed(self) -> None:
        """Addresses for 8, memory for 6: 6 are built."""
        await self.set_limit(self.user, "cyclades.ram", 6 * 512 * 2**20)
        outcomes = await self.outcomes()
        self.assertEqual((outcomes[202], sum(outcomes.values())), (6, CALLERS))
        await self.assert_held(6)


class LittleRoomTests(FiftyCallersTests):
    async def setUp(self) -> None:
        await super().setUp()
        # A debit needs more to be free than it takes: this is room for 8 of 512 MiB.
        async with self.database.transaction("measure") as tx:
            await tx.run("UPDATE backends SET mfree_mib = 8 * 512 + 1")

    async def test_room(self) -> None:
        """Room for 8: 8 are built, 42 get 503."""
        self.assertEqual(await self.outcomes(), {202: 8, 503: 42})
        await self.assert_held(8)

    async def test_quota(self) -> None:
        """Room for 8, quota for 3: 3 are built."""
        await self.set_limit(self.user, "cyclades.vm", 3)
        outcomes = await self.outcomes()
        self.assertEqual((outcomes[202], sum(outcomes.values())), (3, CALLERS))
        await self.assert_held(3)

    async def test_mixed(self) -> None:
        """Room for 8, disk for 7: 7 are built."""
        await self.set_limit(self.user, "cyclades.disk", 7 * 5 * 2**30)
        outcomes = await self.outcomes()
        self.assertEqual((outcomes[202], sum(outcomes.values())), (7, CALLERS))
        await self.assert_held(7)
