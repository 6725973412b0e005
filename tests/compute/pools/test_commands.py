"""Pools of bridges and MAC prefixes by command."""

from __future__ import annotations

from tests.support.cloud import CloudCommandTestCase


class PoolTests(CloudCommandTestCase):
    async def test_bridges(self) -> None:
        """Networks get bridges of the pool, each one until it is free again, and no more."""
        size = ("--size", "2")
        await self.refusal("pool-create", "--type", "bridge", *size)
        made = await self.records("pool-create", "--type", "bridge", *size, "--base", "prv")
        vlan = ("network-create", "--user", self.user.user, "--flavor", "PHYSICAL_VLAN")
        await self.set_limit(self.user, "cyclades.network.private", 9)
        second = await self.records(*vlan, "--link", "prv2")
        self.assertEqual(second[0]["link"], "prv2")
        self.assertIn("taken", await self.refusal(*vlan, "--link", "prv2"))
        self.assertEqual((await self.records(*vlan))[0]["link"], "prv1")
        self.assertIn("No bridge is left", await self.refusal(*vlan))
        self.assertEqual((await self.records(*vlan, "--link", "br0"))[0]["link"], "br0")
        rows = await self.records("pool-list", "--type", "bridge")
        self.assertEqual(
            rows,
            [{"id": made[0]["id"], "type": "bridge", "size": "2", "base": "prv",
              "available": "0", "reserved": "2"}],
        )  # fmt: skip

    async def test_mac_prefixes(self) -> None:
        """There is one pool per type, and the first MAC prefix is nobody's."""
        rows = await self.records("pool-list", "--type", "mac-prefix")
        self.assertEqual((rows[0]["size"], rows[0]["available"]), ("4096", "4095"))
        argv = ("pool-create", "--type", "mac-prefix", "--size", "16")
        self.assertIn("already", await self.refusal(*argv))
        async with self.database.transaction("test") as tx:
            await tx.run("DELETE FROM pool_items")
            await tx.run("DELETE FROM pools WHERE kind = 'mac-prefix'")
        for base in ("ab:00:0", "a8:00:0", "aa:ff:8", "aa:00", "x"):
            await self.refusal(*argv, "--base", base)
        await self.records(*argv)
        rows = await self.records("pool-list")
        self.assertEqual(
            (rows[0]["base"], rows[0]["available"], rows[0]["reserved"]), ("aa:00:0", "15", "1")
        )

    async def test_wrong(self) -> None:
        """Sizes below 1 and names that no interface can have are refused."""
        for size, base in (("0", "prv"), ("9999999", "p"), ("1000", "longlonglonglong"),
                           ("10", "-x"), ("2", "a b")):  # fmt: skip
            await self.refusal("pool-create", "--type", "bridge", "--size", size, f"--base={base}")
        self.assertEqual(await self.records("pool-list", "--type", "bridge"), [])
