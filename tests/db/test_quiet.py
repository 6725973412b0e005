"""Waiting until whatever was under way has ended."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from synnefo_tx.db.quiet import wait_until_ended
from tests.support.database import DatabaseTestCase


class QuietTests(DatabaseTestCase):
    async def hold(self, end: Deferred[None]) -> None:
        """A transaction that has only read, until ``end``."""
        async with self.database.transaction("hold") as tx:
            await tx.value("SELECT 1")
            await end

    async def test_waits(self) -> None:
        """It waits for transactions that were open, readers too, not for those begun since."""
        self.assertTrue(await wait_until_ended(self.database, reactor, 5))
        first: Deferred[None] = Deferred()
        second: Deferred[None] = Deferred()
        holding = [Deferred.fromCoroutine(self.hold(first))]
        await deferLater(reactor, 0.1)
        waiting = Deferred.fromCoroutine(wait_until_ended(self.database, reactor, 5))
        await deferLater(reactor, 0.15)
        holding.append(Deferred.fromCoroutine(self.hold(second)))
        await deferLater(reactor, 0.15)
        self.assertFalse(waiting.called)
        first.callback(None)
        self.assertTrue(await waiting)
        self.assertFalse(second.called)
        self.assertFalse(await wait_until_ended(self.database, reactor, 0.2))
        second.callback(None)
        for each in holding:
            await each
