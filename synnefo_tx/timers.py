"""Periodic work that outlives its own errors.

Twisted's TimerService stops for good after one exception; a Periodic logs it and goes on. Its work
runs in the context in which it was started, so that what a leader starts is known as the leader's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from synnefo_tx.db.electorate import Electorate


class Periodic(Service):
    """Awaits ``work()`` every ``interval_seconds``; a run that is late skips, never piles up."""

    log = Logger()

    def __init__(
        self,
        name: str,
        interval_seconds: float,
        work: Callable[[], Awaitable[object]],
        clock: IReactorTime,
    ) -> None:
        self.name = name
        self.interval_seconds = interval_seconds
        self.failures = 0
        self._work = work
        self._loop = LoopingCall(self._run)
        self._loop.clock = clock
        self._finished: Deferred[LoopingCall] | None = None
        self._context = Context()

    def startService(self) -> None:
        super().startService()
        self._context = copy_context()
        self._finished = self._loop.start(self.interval_seconds, now=True)

    def stopService(self) -> Deferred[LoopingCall] | None:
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        finished, self._finished = self._finished, None
        return finished

    def _run(self) -> Deferred[None]:
        return self._context.run(Deferred.fromCoroutine, self._once())

    async def _once(self) -> None:
        try:
            await self._work()
        except CancelledError as error:
            self.log.info("timer {timer} was cut short: {error}", timer=self.name, error=str(error))
        except Exception:
            self.failures += 1
            self.log.failure("timer {timer} failed; it goes on", timer=self.name)


class ElectedTimers(Service):
    """Timers that run while this process is elected for ``election``."""

    def __init__(self, election: str, timers: Sequence[Periodic], electorate: Electorate) -> None:
        self._election = election
        self._timers = timers
        self._electorate = electorate

    def startService(self) -> None:
        super().startService()
        self._electorate.stand(self._election, self._lead)

    async def stopService(self) -> None:
        """Stop; returns when runs that were under way have ended."""
        super().stopService()
        await self._electorate.withdraw(self._election)

    async def _lead(self) -> None:
        for timer in self._timers:
            timer.startService()
        try:
            await Deferred()
        finally:
            await DeferredList([maybeDeferred(each.stopService) for each in self._timers])
