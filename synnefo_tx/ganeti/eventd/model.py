"""What the event source reads, what it publishes, and who takes it."""

from __future__ import annotations

import json
from typing import Any, Protocol

from attrs import frozen

from synnefo_tx.ganeti.broker.model import BODY_MAX_BYTES
from synnefo_tx.ganeti.model import FINAL_STATUSES, Json

Stamp = tuple[int, int]
"""Seconds since the epoch and microseconds, by the cluster's clock."""

LARGE_FIELDS = ("result", "job_fields", "tags", "logmsg", "error")


class BadJobFile(Exception):
    """The file is not a job of Ganeti 3; the text says what is wrong."""


@frozen
class Op:
    """One operation of a job."""

    opcode: str
    input: Json
    status: str
    result: Any
    log: list[Any]
    start: Stamp | None
    exec: Stamp | None
    end: Stamp | None


@frozen
class Job:
    """A job as its file tells it. ``received`` is when Ganeti took it."""

    id: int
    received: Stamp
    end: Stamp | None
    ops: tuple[Op, ...]

    @property
    def ended(self) -> int | None:
        """When it ended, in seconds since the epoch by the cluster's clock; None while it runs."""
        if any(op.status not in FINAL_STATUSES for op in self.ops):
            return None
        ends = [each for each in (self.end, *(op.end for op in self.ops)) if each is not None]
        return max(ends, default=self.received)[0]


@frozen
class Announcement:
    """A message about one operation of a job.

    ``op`` is the operation's position in its job; ``mark`` is remembered once the message is
    confirmed, and while it stays the same there is nothing new to tell.
    """

    op: int
    mark: str
    routing_key: str
    content: Json
    wants_details: bool = False

    @property
    def body(self) -> bytes:
        """ASCII JSON. What would be too large for the broker goes without its large fields.

        Raises BadJobFile when it cannot be written.
        """
        body = _encode(self.content)
        if len(body) <= BODY_MAX_BYTES:
            return body
        body = _encode({key: each for key, each in self.content.items() if key not in LARGE_FIELDS})
        if len(body) <= BODY_MAX_BYTES:
            return body
        raise BadJobFile("its names are too long for a message")


def _encode(content: Json) -> bytes:
    try:
        return json.dumps(content, allow_nan=False).encode("ascii")
    except (ValueError, RecursionError) as error:
        raise BadJobFile(f"cannot be written as JSON: {error}") from None


class Publisher(Protocol):
    """Takes messages for good."""

    async def publish(self, routing_key: str, body: bytes) -> None:
        """Returns when the broker has confirmed, however long that takes.

        Raises Unroutable when no queue takes the message.
        """
