"""Gates: every point at which a controller meets the world, and what may go wrong there."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define
from twisted.python.failure import Failure

NOT_YET = "an answer comes later"
"""The effect's answer: another gate gives it later."""


class Fault(enum.Enum):
    """What may happen at a gate."""

    CRASH = "the controller dies before it"
    CRASH_AFTER = "it has its effect, then the controller dies"
    ERROR = "it is refused: no effect, and the caller knows"
    DROPPED = "the connection ends before it: no effect, and the caller may not know"
    AWAY = "the database cannot be reached from it on, for some seconds"
    TWICE = "it has its effect twice"
    LOST = "it has its effect, then the connection ends without an answer"


POSSIBLE: Mapping[str, tuple[Fault, ...]] = {
    "begin": (Fault.CRASH, Fault.AWAY, Fault.DROPPED),
    "sql": (Fault.CRASH, Fault.AWAY, Fault.ERROR, Fault.DROPPED),
    "commit": (Fault.CRASH, Fault.CRASH_AFTER, Fault.AWAY, Fault.DROPPED, Fault.LOST),
    "rollback": (Fault.CRASH, Fault.DROPPED),
    "request": (Fault.CRASH, Fault.CRASH_AFTER, Fault.ERROR, Fault.DROPPED, Fault.LOST),
    "reply": (Fault.CRASH, Fault.LOST),
    # What is dropped at publish was confirmed and lost; elsewhere the connection ends.
    "publish": (Fault.DROPPED, Fault.TWICE),
    "delivery": (Fault.CRASH, Fault.CRASH_AFTER, Fault.DROPPED, Fault.TWICE),
    "ack": (Fault.CRASH, Fault.CRASH_AFTER, Fault.DROPPED),
}


DATABASE = frozenset({"begin", "sql", "commit", "rollback"})
MESSAGE = frozenset({"publish", "delivery", "ack"})
AWAY_SECONDS = 2.0


@define(eq=False)
class Gate:
    """One call that waits to happen.

    ``effect`` does it and gives the answer or a Failure; ``answer`` tells the caller; ``refused``
    and ``cut`` give what the caller sees when it was refused, or its connection ended.
    """

    controller: int
    kind: str
    text: str
    effect: Callable[[], Any]
    answer: Callable[[Any], None]
    refused: Callable[[], Failure]
    cut: Callable[[], Failure]
    is_ready: Callable[[], bool] = lambda: True

    def outcome(self, fault: Fault | None) -> Any:
        """Do what the fault leaves of it; what the caller gets."""
        if fault is Fault.ERROR:
            return self.refused()
        if fault in (Fault.DROPPED, Fault.AWAY, Fault.CRASH):
            return self.cut()
        done = self.effect()
        if fault is Fault.TWICE:
            self.effect()
        return self.cut() if fault in (Fault.LOST, Fault.CRASH_AFTER) else done
