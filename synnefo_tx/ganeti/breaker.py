"""A circuit breaker: after some calls in a row without answer, none is tried for a while."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.interfaces import IReactorTime


@define
class Breaker:
    """Opens after ``failures`` consecutive failures, for ``cooldown_seconds``.

    After that one call (the probe) may pass; its outcome closes the breaker or opens it again.
    """

    clock: IReactorTime
    failures: int
    cooldown_seconds: float
    _consecutive: int = field(default=0, init=False)
    _opened_at: float | None = field(default=None, init=False)
    _probing: bool = field(default=False, init=False)

    @property
    def open(self) -> bool:
        """Whether a call made now would be refused."""
        if self._opened_at is None:
            return False
        return self._probing or self.clock.seconds() < self._opened_at + self.cooldown_seconds

    def begin(self) -> bool:
        """Whether a call may be made now; each True is to be ended by one of the others."""
        if self.open:
            return False
        self._probing = self._opened_at is not None
        return True

    def answered(self) -> None:
        """The call was answered, whatever the answer."""
        self._consecutive = 0
        self._opened_at = None
        self._probing = False

    def unanswered(self) -> None:
        """The call got no answer."""
        self._consecutive += 1
        if self._probing or self._consecutive >= self.failures:
            self._opened_at = self.clock.seconds()
        self._probing = False

    def abandoned(self) -> None:
        """The call was given up by its caller: nothing was learnt."""
        self._probing = False
