"""Waiting for a sign, or for some time without one."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


class Bell:
    """One who waits is woken by a ring, also by one that came before."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._rung = False
        self._waiting: Deferred[bool] | None = None

    def ring(self, _: object = None) -> None:
        """Wake who waits, or who will."""
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            self._rung = True
        elif not waiting.called:
            # In a turn of the reactor of its own: who rings goes on first.
            self._clock.callLater(0, _fire, waiting, True)

    async def wait(self, limit_seconds: float) -> bool:
        """Return at the next ring, or when the time is over; whether it rang."""
        if self._rung:
            self._rung = False
            return True
        waiting: Deferred[bool] = Deferred(lambda d: None)
        self._waiting = waiting
        call = self._clock.callLater(limit_seconds, _fire, waiting, False)
        try:
            return await waiting
        finally:
            if self._waiting is waiting:
                self._waiting = None
            if call.active():
                call.cancel()


def _fire(waiting: Deferred[bool], rang: bool) -> None:
    if not waiting.called:
        waiting.callback(rang)
