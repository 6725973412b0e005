"""Who guesses is held off, whichever process is asked."""

from __future__ import annotations

from synnefo_tx.faults import TooManyRequests
from synnefo_tx.rest.misses import Misses
from tests.support.database import DatabaseTestCase, open_database


class MissesTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        other = open_database(self.url)
        self.addCleanup(self.close, other)
        self.one = Misses(self.database, 3, 300.0)
        self.other = Misses(other, 3, 300.0)

    async def close(self, database) -> None:
        await database.close()

    async def test_processes_count_together(self) -> None:
        """Misses in one process count in the others; another address is not held off."""
        for misses in (self.one, self.other, self.one):
            await misses.check("192.0.2.1")
            await misses.add("192.0.2.1")
        for misses in (self.one, self.other):
            with self.assertRaises(TooManyRequests) as caught:
                await misses.check("192.0.2.1")
            wait = int(caught.exception.headers["Retry-After"])
            self.assertTrue(290 <= wait <= 301, wait)
            await misses.check("192.0.2.2")

    async def test_window(self) -> None:
        """After the window an address begins anew, and the sweep forgets it."""
        for _ in range(3):
            await self.one.add("192.0.2.1")
        async with self.database.transaction("later") as tx:
            await tx.run("UPDATE request_misses SET began = began - interval '301 seconds'")
        await self.one.check("192.0.2.1")
        await self.one.add("192.0.2.1")
        await self.one.check("192.0.2.1")
        self.assertEqual(await self.database.read("SELECT misses FROM request_misses"), [(1,)])
        await self.one.sweep()
        self.assertEqual(await self.database.read("SELECT count(*) FROM request_misses"), [(1,)])
        async with self.database.transaction("later") as tx:
            await tx.run("UPDATE request_misses SET began = began - interval '301 seconds'")
        await self.one.sweep()
        self.assertEqual(await self.database.read("SELECT count(*) FROM request_misses"), [(0,)])
