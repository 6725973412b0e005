"""Hearing NOTIFY, on PostgreSQL."""

from __future__ import annotations

import errno
import os
import signal

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from synnefo_tx.db.connect import connector
from synnefo_tx.db.listener import SILENCE_SECONDS, Listener
from synnefo_tx.settings import DatabaseSettings
from tests.support.database import DatabaseTestCase
from tests.support.processes import until


class ListenerTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.heard: list[str] = []
        self.listener = Listener(connector(reactor, self.url, DatabaseSettings()), reactor)
        self.listener.subscribe("thing", self.heard.append)
        self.listener.startService()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.listener.stopService()))
        await until(self.is_hearing, 5, "it hears")

    async def is_hearing(self) -> bool:
        return self.listener.is_hearing

    async def tell(self, payload: str) -> None:
        await self.database.read("SELECT pg_notify('thing', %(payload)s)", {"payload": payload})

    async def listening_process(self) -> int:
        rows = await self.database.read(
            "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND datname = current_database()"
        )
        (pid,) = {row[0] for row in rows}
        return pid

    async def test_heard(self) -> None:
        """What another connection tells is heard, in order; at the start all may have happened."""
        for payload in ("a", "b"):
            await self.tell(payload)

        async def all_heard() -> bool:
            return self.heard == ["", "a", "b"]

        await until(all_heard, 5, "both are heard")

    async def test_reconnects(self) -> None:
        """Without its connection it says at once that it hears nothing, and comes back."""
        await self.database.read("SELECT pg_terminate_backend(%(pid)s)", {
            "pid": await self.listening_process()
        })  # fmt: skip

        async def is_deaf() -> bool:
            return not self.listener.is_hearing

        await until(is_deaf, 2, "it knows that it hears nothing")
        self.heard.clear()
        await until(self.is_hearing, 10, "it hears again")
        self.assertEqual(self.heard, [""])

    async def test_unexpected(self) -> None:
        """What nobody expected (no descriptor left) keeps a process deaf for that moment only."""
        connect = connector(reactor, self.url, DatabaseSettings())
        refusals = [OSError(errno.EMFILE, "too many open files")]

        async def fails_first():
            if refusals:
                raise refusals.pop()
            return await connect()

        await self.listener.stopService()
        self.listener = Listener(fails_first, reactor)
        self.listener.startService()
        await until(self.is_hearing, 5, "it hears")
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    async def test_frozen(self) -> None:
        """A server that does not answer is not relied on for longer than a second."""
        pid = await self.listening_process()
        os.kill(pid, signal.SIGSTOP)
        try:
            await deferLater(reactor, SILENCE_SECONDS + 0.1)
            self.assertFalse(self.listener.is_hearing)
        finally:
            os.kill(pid, signal.SIGCONT)
        await until(self.is_hearing, 10, "it hears again")
