"""A bounded number of places, and a bounded queue for them."""

from __future__ import annotations

from collections import deque

from attrs import define, field
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


class NoPlace(Exception):
    """All places are taken and the queue is full, or the wait was too long."""


@define
class Slots:
    """``places`` at once, ``waiting`` behind them in order, each ``wait_seconds`` at most."""

    clock: IReactorTime
    places: int
    waiting: int
    wait_seconds: float
    _taken: int = field(default=0, init=False)
    _queue: deque[Deferred[None]] = field(factory=deque, init=False)

    async def take(self) -> None:
        """Wait for a place; end with ``give``. Raises NoPlace."""
        if self._taken < self.places:
            self._taken += 1
            return
        if len(self._queue) >= self.waiting:
            raise NoPlace(f"{len(self._queue)} calls are waiting already")
        turn: Deferred[None] = Deferred(self._queue.remove)
        self._queue.append(turn)
        try:
            await turn.addTimeout(self.wait_seconds, self.clock)
        except defer.TimeoutError as expired:
            raise NoPlace(f"no place within {self.wait_seconds} s") from expired

    def give(self) -> None:
        """Hand the place to whoever waited longest, or free it."""
        if self._queue:
            self._queue.popleft().callback(None)
        else:
            self._taken -= 1
