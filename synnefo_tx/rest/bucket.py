"""Token buckets: how often something may happen, decided from one number and the time.

A bucket holds ``burst`` tokens and gets new ones evenly. The number kept is the moment when it will
be full again, so a bucket that nobody touched for a while is as good as none.
"""

from __future__ import annotations

from typing import NamedTuple

from attrs import field, frozen

MINUTE_SECONDS = 60.0


@frozen
class Rate:
    """``per_minute`` new tokens, at most ``burst`` at once."""

    per_minute: float
    burst: float
    pause_seconds: float = field(init=False)
    """The time in which one token comes."""
    whole_seconds: float = field(init=False)
    """The time in which an empty bucket fills."""

    @pause_seconds.default
    def _pause(self) -> float:
        return MINUTE_SECONDS / self.per_minute

    @whole_seconds.default
    def _whole(self) -> float:
        return self.burst * self.pause_seconds

    def times(self, factor: float) -> Rate:
        """A rate that is ``factor`` times this one."""
        return Rate(self.per_minute * factor, self.burst * factor)


class Taken(NamedTuple):
    """What became of the wish for a token: ``wait_seconds`` 0 if it was had, else the time after
    which one will be there; and when the bucket is full again."""

    wait_seconds: float
    full_at: float


def take(rate: Rate, full_at: float, now: float) -> Taken:
    """Take a token from the bucket that is full at ``full_at``; who gets none takes none."""
    # A clock that was set back must not empty a bucket more than empty.
    full_at = min(max(full_at, now), now + rate.whole_seconds)
    after = full_at + rate.pause_seconds
    missing = after - now - rate.whole_seconds
    # A millionth of a token is the error of the sums.
    if missing > rate.pause_seconds * 1e-6:
        return Taken(missing, full_at)
    return Taken(0.0, after)
