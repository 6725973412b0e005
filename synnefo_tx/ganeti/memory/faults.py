"""Faults that a test sets: what the network, RAPI or a job may do to its caller.

The menu is that of the fault table in docs/ganeti.md. Each fault applies ``times`` times.
"""

from __future__ import annotations

import enum

from attrs import define, field, frozen


class CallFault(enum.Enum):
    """What may happen to a request."""

    REQUEST_LOST = "the connection is cut before the request is looked at"
    REPLY_LOST = "the request has its effect, then the connection is cut"
    REPLY_DELAYED = "the request has its effect, the reply comes after some seconds"
    ACCEPTED_LATE = "the request has its effect after some seconds, even if the caller has left"
    UNAUTHORIZED = "401"
    BAD_GATEWAY = "502 with a page that is not RAPI's"
    GARBAGE = "the request has its effect, the reply is not JSON"
    TRUNCATED = "the request has its effect, the reply is cut in its body"
    HANGS = "no effect and no answer"
    EMPTY_LIST = "a listing is empty"


class JobFault(enum.Enum):
    """What may happen to a job."""

    FAILS = "its opcode fails without effect"
    STAYS_QUEUED = "it is not begun until the fault is cleared"
    DIES = "its process dies in the middle: error without a result of its opcode"
    HOTPLUG_FAILS = "a device is changed in the configuration, not in the guest; the job succeeds"
    ARCHIVED_EARLY = "it is archived as soon as it has ended"


@frozen
class Fault:
    """A fault to come. ``method``, ``path`` (a prefix) and ``opcode`` narrow what it hits."""

    kind: CallFault | JobFault
    times: int = 1
    seconds: float = 0.0
    method: str | None = None
    path: str = ""
    opcode: str | None = None


@define
class Faults:
    """The faults that are still to happen, in the order in which they were set."""

    pending: list[Fault] = field(factory=list)

    def add(self, fault: Fault) -> None:
        """Let it happen."""
        self.pending.extend([fault] * fault.times)

    def clear(self) -> None:
        """Heal."""
        self.pending.clear()

    def take_call(self, method: str, path: str) -> Fault | None:
        """The fault for this request, which is used up."""
        for fault in self.pending:
            if (
                isinstance(fault.kind, CallFault)
                and fault.method in (None, method)
                and path.startswith(fault.path)
            ):
                self.pending.remove(fault)
                return fault
        return None

    def take_job(self, kind: JobFault, opcode: str) -> Fault | None:
        """The fault of this kind for a job of this opcode, which is used up."""
        for fault in self.pending:
            if fault.kind is kind and fault.opcode in (None, opcode):
                self.pending.remove(fault)
                return fault
        return None

    def holds(self, opcode: str) -> bool:
        """Whether jobs of this opcode stay queued for now; not used up."""
        return any(
            fault.kind is JobFault.STAYS_QUEUED and fault.opcode in (None, opcode)
            for fault in self.pending
        )
