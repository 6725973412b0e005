"""Pools of addresses: exact, whoever asks at once."""

from __future__ import annotations

import random
from ipaddress import IPv4Network

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.compute.pools import rules
from synnefo_tx.compute.pools.store import PoolStore
from tests.support.database import DatabaseTestCase


class PoolRuleTests(SynchronousTestCase):
    @given(st.integers(8, 29), st.integers(0, 2**32 - 1), st.integers(0, 10**6))
    def test_usable(self, prefix, number, pick) -> None:
        """Usable runs hold every host once, but not network, broadcast and gateway."""
        network = IPv4Network((number & (0xFFFFFFFF << (32 - prefix)) & 0xFFFFFFFF, prefix))
        hosts = network.num_addresses - 2
        gateway = str(network.network_address + 1 + pick % hosts)
        ranges = rules.usable_ranges(network, gateway)
        self.assertEqual(sum(size for _, size in ranges), hosts - 1)
        for base, size in ranges:
            for index in {0, size - 1}:
                address = rules.address_at(base, index)
                self.assertEqual(rules.index_of_address(base, address), index)
                self.assertNotEqual(address, gateway)
                self.assertIn(IPv4Network(address)[0], network)

    @given(st.integers(0, 4095))
    def test_mac_prefix(self, index) -> None:
        """MAC prefixes count in hexadecimal and stay locally administered unicast."""
        prefix = rules.mac_prefix_at("aa:00:0", index)
        self.assertEqual(rules.index_of_mac_prefix("aa:00:0", prefix), index)
        self.assertEqual(int(prefix[:2], 16) & 3, 2)

    @given(st.integers(1, 2**28 - 1), st.integers(1, 2**28 - 1))
    def test_port_mac(self, one, other) -> None:
        """Two ports of a network never share a MAC."""
        macs = {rules.port_mac("aa:00:1", each) for each in (one, other)}
        self.assertEqual(len(macs), len({one, other}))
        self.assertTrue(all(len(mac) == 17 and mac.startswith("aa:00:1") for mac in macs))


class PoolTests(DatabaseTestCase):
    limits = {
        "connections": 16,
        "waiting": 1000,
        "wait_seconds": 60,
        "transaction_seconds": 60,
        "statement_limit_seconds": 60,
    }

    async def setUp(self) -> None:
        await super().setUp()
        async with self.database.transaction("pool") as tx:
            self.pool = await PoolStore(tx, 600, 4).insert("bridge", None, "br", 10)

    async def take(self, holder: str, owner: str = "u", rest: float = 600) -> int | None:
        async with self.database.transaction("take") as tx:
            item = await PoolStore(tx, rest, 4).take([self.pool], holder, owner, wait=True)
        return None if item is None else item.index

    async def take_index(self, index: int, owner: str = "u") -> bool:
        async with self.database.transaction("take") as tx:
            return await PoolStore(tx, 600, 4).take_index(self.pool, index, "w", owner)

    async def release(self, holder: str, rest: bool = True) -> None:
        async with self.database.transaction("release") as tx:
            await PoolStore(tx, 600, 4).release([holder], rest)

    async def age(self, seconds: int) -> None:
        async with self.database.transaction("age") as tx:
            await tx.run(
                "UPDATE pool_items SET freed = freed - make_interval(secs => %(s)s)", {"s": seconds}
            )

    async def test_order(self) -> None:
        """The lowest free item is taken first; an exhausted pool gives none."""
        taken = [await self.take(f"h{n}") for n in range(11)]
        self.assertEqual(taken, [*range(10), None])

    async def test_rest(self) -> None:
        """A freed item rests while others are free, then it is given again."""
        await self.take("a")
        await self.release("a")
        self.assertEqual(await self.take("b", "other"), 1)
        await self.age(601)
        self.assertEqual(
            [await self.take(f"c{n}", "other") for n in range(9)], [*range(2, 4), 0, *range(4, 10)]
        )

    async def test_short(self) -> None:
        """When nothing else is left, what has rested longest is given."""
        for n in range(10):
            await self.take(f"h{n}")
        await self.release("h7")
        await self.age(10)
        await self.release("h3")
        self.assertEqual(
            [await self.take("x"), await self.take("y"), await self.take("z")], [7, 3, None]
        )

    async def test_wanted(self) -> None:
        """A certain item is given once; resting, only to its last owner."""
        self.assertTrue(await self.take_index(9))
        self.assertFalse(await self.take_index(9))
        await self.release("w")
        self.assertFalse(await self.take_index(9, "other"))
        self.assertTrue(await self.take_index(9))
        self.assertEqual([await self.take(f"h{n}") for n in range(10)], [*range(9), None])

    async def test_private_is_free_at_once(self) -> None:
        """Without rest a freed item is the next one given."""
        await self.take("a")
        await self.release("a", rest=False)
        self.assertEqual(await self.take("b"), 0)

    async def test_many_at_once(self) -> None:
        """Hundreds take and give back at once: no item is held twice, none is lost."""
        chance = random.Random(3)
        held: dict[int, str] = {}

        async def one(number: int) -> None:
            for turn in range(10):
                holder = f"h{number}-{turn}"
                index = await self.take(holder, rest=0)
                if index is None:
                    continue
                self.assertNotIn(index, held)
                held[index] = holder
                if chance.random() < 0.9:
                    del held[index]
                    await self.release(holder)

        await gatherResults([Deferred.fromCoroutine(one(n)) for n in range(40)])
        rows = await self.database.read(
            "SELECT index, holder FROM pool_items WHERE state = 'held' ORDER BY index"
        )
        self.assertEqual(dict(rows), held)

    async def test_refused_hold_nothing(self) -> None:
        """While the last free item is in an open transaction, another waits for its outcome."""
        for n in range(9):
            await self.take(f"h{n}")
        started: Deferred[None] = Deferred()
        go: Deferred[None] = Deferred()

        async def fails() -> None:
            async with self.database.transaction("fails") as tx:
                await PoolStore(tx, 600, 4).take([self.pool], "x", "u", wait=True)
                started.callback(None)
                await go
                raise KeyError

        failing = Deferred.fromCoroutine(fails())
        await started
        waiting = Deferred.fromCoroutine(self.take("y"))
        self.assertNoResult(waiting)
        go.callback(None)
        await self.assertFailure(failing, KeyError)
        self.assertEqual(await waiting, 9)

    async def test_waiting_crosswise(self) -> None:
        """Many that wait for items which others take in the end do not lock each other out."""
        for n in range(10):
            await self.take(f"h{n}")

        async def one(number: int) -> None:
            for turn in range(8):
                await self.release(f"h{(number + turn) % 10}", rest=turn % 2 == 0)
                async with self.database.transaction("two") as tx:
                    store = PoolStore(tx, 0, 4)
                    await store.take([self.pool], f"h{number % 10}", "u", wait=True)
                    await store.take([self.pool], f"h{(number + 1) % 10}", "u", wait=False)

        await gatherResults([Deferred.fromCoroutine(one(n)) for n in range(40)])
        rows = await self.database.read(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        self.assertEqual(rows, [(0,)])
