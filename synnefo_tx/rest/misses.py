"""Counts what an address asked for in vain: who guesses secrets is held off."""

from __future__ import annotations

from collections import OrderedDict

from attrs import define
from twisted.internet.interfaces import IReactorTime

from synnefo_tx.faults import TooManyRequests

ADDRESSES_MAX = 10_000


@define
class _Count:
    began: float
    misses: int


class Misses:
    """At most ``misses_max`` in ``window_seconds`` per address; memory is bounded."""

    def __init__(self, clock: IReactorTime, misses_max: int, window_seconds: float) -> None:
        self._clock = clock
        self._misses_max = misses_max
        self._window_seconds = window_seconds
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def check(self, address: str) -> None:
        """Raise TooManyRequests while the address has missed too often."""
        count = self._counts.get(address)
        if count is None:
            return
        left = count.began + self._window_seconds - self._clock.seconds()
        if left <= 0:
            del self._counts[address]
        elif count.misses >= self._misses_max:
            raise TooManyRequests("Too many failures", headers={"Retry-After": f"{left + 1:.0f}"})

    def add(self, address: str) -> None:
        """The address asked for what is not there."""
        count = self._counts.get(address)
        if count is None:
            self._counts[address] = _Count(self._clock.seconds(), 1)
            if len(self._counts) > ADDRESSES_MAX:
                self._counts.popitem(last=False)
        else:
            count.misses += 1
