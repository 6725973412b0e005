"""Hears PostgreSQL's NOTIFY on one connection of its own, and knows whether it would.

Who keeps something in memory subscribes, and asks ``is_hearing`` before relying on it: a statement
on the connection, answered less than a second ago, proves that whatever was committed before it was
heard. When a connection is made, everything may have happened: subscribers are told "" for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import psycopg2
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from synnefo_tx.db.driver import TxConnection
from synnefo_tx.db.pool import shield

BEAT_SECONDS = 0.25
SILENCE_SECONDS = 0.9
RECONNECT_SECONDS = 1.0

Heard = Callable[[str], None]


class Hearing(Protocol):
    """Where news of other processes' commits come from."""

    @property
    def is_hearing(self) -> bool:
        """Whether everything committed more than a second ago has been heard."""

    def subscribe(self, channel: str, heard: Heard) -> None:
        """Have ``heard(payload)`` called for each NOTIFY on a channel, and with "" for any."""


class Deaf:
    """For processes that do not listen: nothing may be relied on."""

    is_hearing = False

    def subscribe(self, channel: str, heard: Heard) -> None:
        """See ``Hearing``: nothing will ever be heard."""


class Listener(Service):
    """See the head of the module."""

    log = Logger()

    def __init__(self, connect: Callable[[], Awaitable[TxConnection]], clock: IReactorTime) -> None:
        self._connect = connect
        self._clock = clock
        self._subscribers: dict[str, list[Heard]] = {}
        self._confirmed: float | None = None
        self._running: Deferred[None] | None = None

    @property
    def is_hearing(self) -> bool:
        """See ``Hearing``."""
        if self._confirmed is None:
            return False
        # A clock that jumps back proves nothing.
        return 0 <= self._clock.seconds() - self._confirmed < SILENCE_SECONDS

    def subscribe(self, channel: str, heard: Heard) -> None:
        """See ``Hearing``; before the start."""
        self._subscribers.setdefault(channel, []).append(heard)

    def startService(self) -> None:
        super().startService()
        self._running = Deferred.fromCoroutine(self._run())

    async def stopService(self) -> None:
        """Hear no more."""
        super().stopService()
        running, self._running = self._running, None
        if running is not None:
            running.cancel()
            try:
                await running
            except CancelledError:
                return

    async def _run(self) -> None:
        while self.running:
            try:
                await self._hear(await self._connect())
            except (psycopg2.Error, TimeoutError) as error:
                self.log.warn("nothing is heard from the database: {error}", error=str(error))
            except CancelledError:
                raise
            except Exception:
                # No descriptor left, perhaps. A process that gave up would be deaf for good.
                self.log.failure("nothing is heard from the database")
            finally:
                self._confirmed = None
            await deferLater(self._clock, RECONNECT_SECONDS)

    async def _hear(self, connection: TxConnection) -> None:
        connection.on_notify = self._heard
        try:
            for channel in self._subscribers:
                await self._ask(connection, f"LISTEN {channel}")
            for channel in self._subscribers:
                self._heard(channel, "")
            while self.running:
                sent = self._clock.seconds()
                await self._ask(connection, "SELECT 1")
                self._confirmed = sent
                await deferLater(self._clock, BEAT_SECONDS)
        finally:
            connection.close()

    async def _ask(self, connection: TxConnection, sql: str) -> None:
        await shield(connection.execute(sql)).addTimeout(SILENCE_SECONDS, self._clock)

    def _heard(self, channel: str, payload: str) -> None:
        for heard in self._subscribers.get(channel, ()):
            try:
                heard(payload)
            except Exception:
                self.log.failure("what was heard on {channel} was not understood", channel=channel)
