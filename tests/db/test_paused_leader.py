"""Leaders as processes that are stopped at any instruction, and go on when another leads."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater

from tests.support.database import DatabaseTestCase
from tests.support.processes import Child, until

reactor: Any = _reactor
ROUNDS = 4
LAST = "SELECT process, epoch, count(*) OVER () FROM written ORDER BY number DESC LIMIT 1"
# Rows get their numbers when they are written, under a lock that the next epoch waits for.
LATE = """
SELECT a.* FROM written a JOIN written b ON b.number < a.number AND b.epoch > a.epoch
"""
HALVES = "SELECT process, count(*) FROM written GROUP BY process HAVING count(*) % 2 <> 0"


class PausedLeaderTests(DatabaseTestCase):
    timeout = 180

    async def setUp(self) -> None:
        await super().setUp()
        async with self.database.transaction("make") as tx:
            await tx.run(
                "CREATE TABLE written (number bigserial, process int, epoch bigint, half int)"
            )

    def start(self) -> Child:
        child = Child()
        command = [sys.executable, "-m", "tests.support.writing_leader", self.url, "work"]
        child.process = reactor.spawnProcess(child, command[0], command, env=dict(os.environ))
        self.addCleanup(self.end, child)
        return child

    async def end(self, child: Child) -> None:
        if not child.ended.called:
            os.kill(child.process.pid, signal.SIGCONT)
            child.process.signalProcess("TERM")
            await child.ended

    async def leader(self) -> tuple[int, int]:
        """Who wrote last, in which epoch."""
        rows = await self.database.read(LAST)
        return rows[0][:2] if rows else (0, 0)

    async def led_after(self, epoch: int) -> tuple[int, int]:
        async def led() -> tuple[int, int] | None:
            pid, now = await self.leader()
            return (pid, now) if now > epoch else None

        return await until(led, 30, "another leads")

    async def test_paused(self) -> None:
        """A leader that is paused anywhere, mostly within a transaction, writes nothing once
        another has led, and leaves no half of a transaction; so it goes round after round."""
        children = [self.start(), self.start()]
        pid, epoch = await self.led_after(0)
        for _ in range(ROUNDS):
            await deferLater(reactor, 0.3)
            os.kill(pid, signal.SIGSTOP)
            other, later = await self.led_after(epoch)
            self.assertNotEqual(other, pid)
            os.kill(pid, signal.SIGCONT)
            await deferLater(reactor, 0.7)
            self.assertEqual((await self.leader())[0], other)
            pid, epoch = other, later
        self.assertEqual(await self.database.read(LATE), [])
        self.assertEqual(await self.database.read(HALVES), [])
        for child in children:
            self.assertIn(b"ended: ", child.output)
