"""Who asks more often than is good for others is told to wait.

Each class of endpoints has a rate for one token or session; all of a user together have a multiple
of it, and so has all that comes from one address, with or without a caller. Each process counts
what it serves itself: with N of them N times as much may pass. Where a bound must hold over all
processes (failed log-ins, guesses of secrets) it is a row.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal

from twisted.internet.interfaces import IReactorTime

from synnefo_tx.caller import Caller
from synnefo_tx.faults import TooManyRequests
from synnefo_tx.rest.address import counted_as
from synnefo_tx.rest.bucket import Rate, take
from synnefo_tx.rest.endpoint import RateClass
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.settings import Rates

Subject = Literal["token", "user", "address"]


def rates_of(settings: Rates) -> dict[tuple[RateClass, Subject], Rate]:
    """The rates that are limited, by class and by what is counted."""
    classes: Mapping[RateClass, tuple[int, int]] = {
        "read": (settings.read_per_minute, settings.read_burst),
        "write": (settings.write_per_minute, settings.write_burst),
        "create": (settings.create_per_minute, settings.create_burst),
        "login": (settings.login_per_minute, settings.login_burst),
    }
    factors: Mapping[Subject, float] = {
        "token": 1.0,
        "user": settings.user_factor,
        "address": settings.address_factor,
    }
    return {
        (name, subject): Rate(per_minute, burst).times(factor)
        for name, (per_minute, burst) in classes.items()
        for subject, factor in factors.items()
        if per_minute > 0
    }


class RateLimits:
    """The buckets of one process: at most ``remembered_max``, the least used are forgotten."""

    def __init__(self, settings: Rates, clock: IReactorTime, metrics: Metrics) -> None:
        self._rates = rates_of(settings)
        self._remembered_max = settings.remembered_max
        self._clock = clock
        self._full_at: OrderedDict[tuple[RateClass, Subject, str | int], float] = OrderedDict()
        self._refusals = metrics.refusals

    def check_address(self, name: RateClass, remote: str) -> None:
        """Count a request from an address; raises TooManyRequests."""
        self._check(name, "address", counted_as(remote))

    def check_caller(self, name: RateClass, caller: Caller) -> None:
        """Count a request of a caller; raises TooManyRequests."""
        if caller.token_id:
            self._check(name, "token", caller.token_id)
        elif caller.session_id:
            # A browser's session is its token.
            self._check(name, "token", f"session {caller.session_id}")
        self._check(name, "user", caller.user)

    def _check(self, name: RateClass, subject: Subject, id: str | int) -> None:
        rate = self._rates.get((name, subject))
        if rate is None:
            return
        key = name, subject, id
        taken = take(rate, self._full_at.pop(key, 0.0), self._clock.seconds())
        self._full_at[key] = taken.full_at
        if len(self._full_at) > self._remembered_max:
            self._full_at.popitem(last=False)
        if taken.wait_seconds:
            self._refusals.labels(name, subject).inc()
            wait = math.ceil(taken.wait_seconds)
            raise TooManyRequests(
                f"Too many requests. Try again in {wait} s.", headers={"Retry-After": str(wait)}
            )
