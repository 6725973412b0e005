"""Elections: of all processes, one at a time does what only one may do.

A process that wants to lead stands for a name. PostgreSQL's advisory locks decide, all of a
process on one connection: who has the lock begins a term with a new epoch and runs its work. The
connection lost is the election lost: everything stops at once. PostgreSQL ends the session of a
process that says nothing for some seconds, so a paused one keeps nobody from leading; what it
writes when it wakes is refused (see ``fence``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextvars import copy_context
from typing import Any

import psycopg2
from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from synnefo_tx.db.connect import ELECTION_STATEMENT_SECONDS, Connect
from synnefo_tx.db.driver import DriverConnection, Row
from synnefo_tx.db.electorate import Work
from synnefo_tx.db.fence import Term, current_term
from synnefo_tx.db.pool import shield

LOCK = "SELECT pg_try_advisory_lock(%(key)s)"
UNLOCK = "SELECT pg_advisory_unlock(%(key)s)"
# Waits for the transactions of the leader before, which share a lock on the row.
BEGIN_TERM = """
INSERT INTO elections AS e (name, epoch, holder, since)
VALUES (%(name)s, 1, %(holder)s, synnefo_now())
ON CONFLICT (name) DO UPDATE SET epoch = e.epoch + 1, holder = excluded.holder,
 since = excluded.since
RETURNING epoch
"""
PRESENT = "SET application_name = 'synnefo stands for {groups}'"
COUNT_PRESENT = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
 AND application_name LIKE 'synnefo stands for %%' || %(group)s || '%%'
"""

RETRY_SECONDS = 1.0
RECONNECT_SECONDS = 1.0
BALANCE_SECONDS = 10.0
# Who leads much lets others go first.
COURTESY_SECONDS = 0.05
COURTESY_MAX_SECONDS = 0.5
SAYS_WITHIN = 0.3  # of the silence after which PostgreSQL ends the session


class ElectionLost(Exception):
    """The connection that the locks are bound to cannot be relied on any more."""


@define(eq=False)
class _Candidate:
    """One name that this process stands for."""

    name: str
    work: Work
    try_at: float = 0.0
    task: Deferred[None] | None = None
    has_lock: bool = False
    withdrawn: bool = False
    ended: list[Deferred[None]] = field(factory=list)

    @property
    def group(self) -> str:
        return self.name.partition(":")[0]

    @property
    def key(self) -> dict[str, Any]:
        digest = hashlib.sha256(f"synnefo election {self.name}".encode()).digest()
        return {"key": int.from_bytes(digest[:8], "big", signed=True)}

    def stop(self) -> None:
        """Cancel the work, if it runs."""
        if self.task is not None:
            self.task.cancel()


class Elections(Service):
    """Stands for names on one connection of its own."""

    log = Logger()

    def __init__(
        self, connect: Connect, clock: IReactorTime, holder: str, silence_seconds: float
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._holder = holder
        self._silence_seconds = silence_seconds
        self._candidates: dict[str, _Candidate] = {}
        self._leaving: list[_Candidate] = []
        self._ready_at: dict[str, float] = {}
        self._confirmed = 0.0
        self._balance_at = 0.0
        self._presented = ""
        self._is_deposed = False
        self._waking: Deferred[None] | None = None
        self._loop: Deferred[None] | None = None

    # What candidates see.

    def stand(self, name: str, work: Work) -> None:
        """See ``Electorate``."""
        if name not in self._candidates:
            self._candidates[name] = _Candidate(name, work)
            self._wake()

    async def withdraw(self, name: str) -> None:
        """See ``Electorate``."""
        candidate = self._candidates.pop(name, None)
        if candidate is None:
            return
        candidate.withdrawn = True
        if candidate.has_lock:
            self._leaving.append(candidate)
        await self._stop(candidate)
        self._wake()

    @property
    def led(self) -> list[str]:
        """The names that this process leads now."""
        return sorted(each.name for each in self._candidates.values() if each.task is not None)

    # The service.

    def startService(self) -> None:
        super().startService()
        self._loop = Deferred.fromCoroutine(self._run())

    async def stopService(self) -> None:
        """Stop all work, then let go of the connection, and with it of every lock."""
        super().stopService()
        for candidate in list(self._candidates.values()):
            await self._stop(candidate)
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.cancel()
            try:
                await loop
            except CancelledError:
                return

    async def _run(self) -> None:
        while self.running:
            try:
                await self._hold_session()
            except CancelledError:
                raise
            except (ElectionLost, TimeoutError, psycopg2.Error) as error:
                self.log.warn("the elections' connection is lost: {error}", error=str(error))
            except Exception:
                self.log.failure("elections failed; they go on")
            await self._rest(RECONNECT_SECONDS)

    async def _hold_session(self) -> None:
        self._is_deposed = False
        self._presented = ""
        self._leaving.clear()
        self._confirmed = self._clock.seconds()
        connection = await self._open()
        try:
            while self.running:
                await self._turn(connection)
                await self._rest(self._pause())
        finally:
            connection.close()
            for candidate in self._candidates.values():
                candidate.has_lock = False
                candidate.stop()

    async def _open(self) -> DriverConnection:
        has_given_up = False

        async def opened() -> DriverConnection:
            connection = await self._connect()
            if has_given_up:
                connection.close()
            return connection

        opening = shield(Deferred.fromCoroutine(opened()))
        try:
            return await opening.addTimeout(self._silence_seconds, self._clock)
        except BaseException:
            has_given_up = True
            raise

    async def _turn(self, connection: DriverConnection) -> None:
        """Say something to PostgreSQL if it is time, let go, take, and share."""
        now = self._clock.seconds()
        if self._is_deposed:
            raise ElectionLost("another leads what this process led")
        if now - self._confirmed >= self._silence_seconds:
            raise ElectionLost(f"this process stood still for {now - self._confirmed:.0f} s")
        await self._present(connection)
        await self._let_go(connection)
        for candidate in self._due(now):
            await self._try(connection, candidate)
        if now >= self._balance_at:
            self._balance_at = now + BALANCE_SECONDS
            await self._balance(connection)
        if self._clock.seconds() - self._confirmed >= self._silence_seconds * SAYS_WITHIN:
            await self._ask(connection, "SELECT 1", None)

    async def _ask(
        self, connection: DriverConnection, sql: str, values: Mapping[str, Any] | None
    ) -> list[Row]:
        """Run a statement; its answer shows that the session lived when it was sent."""
        sent = self._clock.seconds()
        running = shield(connection.execute(sql, values))
        result = await running.addTimeout(ELECTION_STATEMENT_SECONDS + 1, self._clock)
        self._confirmed = sent
        return result.rows

    async def _present(self, connection: DriverConnection) -> None:
        """Show other processes that this one stands, and for what."""
        groups = ", ".join(sorted({each.group for each in self._candidates.values()}))
        if groups != self._presented:
            await self._ask(connection, PRESENT.format(groups=groups), None)
            self._presented = groups

    async def _let_go(self, connection: DriverConnection) -> None:
        for candidate in self._idle():
            await self._ask(connection, UNLOCK, candidate.key)
            candidate.has_lock = False
            if candidate in self._leaving:
                self._leaving.remove(candidate)

    def _idle(self) -> list[_Candidate]:
        """Those whose lock nobody needs any more."""
        everyone = [*self._candidates.values(), *self._leaving]
        return [each for each in everyone if each.has_lock and each.task is None]

    def _due(self, now: float) -> list[_Candidate]:
        """The first of each group whose time has come."""
        chosen: dict[str, _Candidate] = {}
        for each in self._candidates.values():
            is_free = each.task is None and not each.has_lock and each.try_at <= now
            if is_free and self._ready_at.get(each.group, 0.0) <= now:
                chosen.setdefault(each.group, each)
        return list(chosen.values())

    async def _try(self, connection: DriverConnection, candidate: _Candidate) -> None:
        rows = await self._ask(connection, LOCK, candidate.key)
        now = self._clock.seconds()
        candidate.try_at = now + self._retry_seconds
        if not rows[0][0]:
            return
        candidate.has_lock = True
        if candidate.withdrawn:
            # While the lock was asked for; nobody else would let go of it.
            self._leaving.append(candidate)
            return
        try:
            named = {"name": candidate.name, "holder": self._holder}
            epoch = int((await self._ask(connection, BEGIN_TERM, named))[0][0])
        except psycopg2.Error as error:
            if connection.closed:
                raise
            # A transaction of the leader before has not ended yet; its time is limited too.
            self.log.warn("{name}: no term yet: {error}", name=candidate.name, error=str(error))
            return
        if candidate.withdrawn or not self.running:
            return
        held = sum(each.group == candidate.group for each in self._leading()) + 1
        self._ready_at[candidate.group] = now + min(COURTESY_SECONDS * held, COURTESY_MAX_SECONDS)
        self._begin(candidate, epoch)

    @property
    def _retry_seconds(self) -> float:
        return max(RETRY_SECONDS, RETRY_SECONDS / 10 * len(self._candidates))

    def _leading(self) -> list[_Candidate]:
        return [each for each in self._candidates.values() if each.task is not None]

    def _begin(self, candidate: _Candidate, epoch: int) -> None:
        term = Term(candidate.name, epoch, self._depose)
        context = copy_context()
        context.run(current_term.set, term)
        self.log.info("this process leads {name}, epoch {epoch}", name=term.name, epoch=epoch)
        running: Deferred[None] = context.run(Deferred.fromCoroutine, candidate.work())
        candidate.task = running

        def ended(result: object) -> None:
            candidate.task = None
            # Another that wants it comes first.
            candidate.try_at = self._clock.seconds() + 3 * self._retry_seconds
            self.log.info("this process leads {name} no more", name=candidate.name)
            waiting, candidate.ended = candidate.ended, []
            for each in waiting:
                each.callback(None)
            self._wake()

        running.addErrback(lambda failure: failure.trap(CancelledError) and None)
        running.addErrback(
            lambda failure: self.log.failure("work of {name} failed", failure, name=candidate.name)
        )
        running.addBoth(ended)

    async def _stop(self, candidate: _Candidate) -> None:
        if candidate.task is not None:
            ended: Deferred[None] = Deferred()
            candidate.ended.append(ended)
            candidate.stop()
            await ended

    def _depose(self) -> None:
        """A transaction found another leader: nothing that this process leads is certain."""
        self._is_deposed = True
        self._wake()

    async def _balance(self, connection: DriverConnection) -> None:
        """Let go of what is more than this process's share of a group."""
        groups = {each.group for each in self._candidates.values() if ":" in each.name}
        for group in groups:
            held = [each for each in self._leading() if each.group == group]
            if len(held) < 2:
                continue
            present = int((await self._ask(connection, COUNT_PRESENT, {"group": group}))[0][0])
            total = sum(each.group == group for each in self._candidates.values())
            share = -(-total // max(1, present))
            for each in held[share:]:
                each.stop()

    # Waiting.

    def _pause(self) -> float:
        """Seconds until there is something to do."""
        now = self._clock.seconds()
        if self._is_deposed or self._idle():
            return 0.0
        times = [self._confirmed + self._silence_seconds * SAYS_WITHIN, self._balance_at]
        for each in self._candidates.values():
            if each.task is None and not each.has_lock:
                times.append(max(each.try_at, self._ready_at.get(each.group, 0.0)))
        return max(0.0, min(times) - now)

    async def _rest(self, seconds: float) -> None:
        waking: Deferred[None] = Deferred(lambda d: None)
        self._waking = waking
        call = self._clock.callLater(seconds, self._wake)
        try:
            await waking
        finally:
            self._waking = None
            if call.active():
                call.cancel()

    def _wake(self) -> None:
        """End the rest, in a turn of the reactor of its own."""
        waking, self._waking = self._waking, None
        if waking is not None:
            self._clock.callLater(0, _fire, waking)


def _fire(waiting: Deferred[None]) -> None:
    if not waiting.called:
        waiting.callback(None)
