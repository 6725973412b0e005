"""A request's body in pieces, as it arrives: the sender is held back while the reader is slow.

What is read and not yet taken is bounded (``HELD_MAX_BYTES`` and what one read of the socket adds);
beyond, the socket is not read, so that TCP tells the sender to wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from synnefo_tx.faults import BadRequest, Fault, RequestEntityTooLarge

HELD_MAX_BYTES = 256 * 1024
HELD_LOW_BYTES = 64 * 1024


class BodyCut(BadRequest):
    """The sender went away before the end of the body."""


@frozen
class Source:
    """What brings the pieces: ``wanted`` is called when the first is asked for."""

    wanted: Callable[[], None]
    hold: Callable[[], None]
    go_on: Callable[[], None]


class BodyPieces:
    """An asynchronous iterator over the pieces of a body, for one reader.

    Raises BodyCut if the sender goes away, RequestEntityTooLarge if the body is larger than
    ``max_bytes``.
    """

    def __init__(self, source: Source, max_bytes: int) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._pieces: deque[bytes] = deque()
        self._waiting: Deferred[None] | None = None
        self._failure: Fault | None = None
        self._asked = False
        self._holding = False
        self._unwanted = False
        self.held_bytes = 0
        self.received_bytes = 0
        self.ended = False

    def __aiter__(self) -> BodyPieces:
        return self

    async def __anext__(self) -> bytes:
        if not self._asked:
            self._asked = True
            self._source.wanted()
        while not self._pieces:
            if self._failure is not None:
                raise self._failure
            if self.ended:
                raise StopAsyncIteration
            await self._more()
        piece = self._pieces.popleft()
        self.held_bytes -= len(piece)
        if self._holding and self.held_bytes <= HELD_LOW_BYTES:
            self._holding = False
            self._source.go_on()
        return piece

    async def _more(self) -> None:
        waiting: Deferred[None] = Deferred()
        self._waiting = waiting
        try:
            await waiting
        finally:
            self._waiting = None

    def feed(self, data: bytes) -> None:
        """Another piece has arrived."""
        self.received_bytes += len(data)
        if self._unwanted or self._failure is not None:
            return
        if self.received_bytes > self._max_bytes:
            self.fail(RequestEntityTooLarge("The body is too large"))
            return
        self._pieces.append(data)
        self.held_bytes += len(data)
        if self.held_bytes > HELD_MAX_BYTES:
            # Each time: others let the socket go on too, when what they wrote has left.
            self._holding = True
            self._source.hold()
        self._wake()

    def end(self) -> None:
        """The body is complete."""
        self.ended = True
        self._wake()

    def fail(self, failure: Fault) -> None:
        """No more will come: the reader gets ``failure``."""
        if not self.ended and self._failure is None:
            self._failure = failure
            self._drop()
            self._wake()

    def stop(self) -> None:
        """Nobody reads any more: drop what comes."""
        self._unwanted = True
        self._drop()

    def _drop(self) -> None:
        self._pieces.clear()
        self.held_bytes = 0
        if self._holding:
            self._holding = False
            self._source.go_on()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.called:
            self._waiting.callback(None)


class NoPieces:
    """The pieces of no body."""

    def __aiter__(self) -> NoPieces:
        return self

    async def __anext__(self) -> bytes:
        raise StopAsyncIteration


def cut(reason: Failure) -> BodyCut:
    """What the reader is told when the connection is lost."""
    return BodyCut(f"The body was cut: {reason.getErrorMessage()}")
