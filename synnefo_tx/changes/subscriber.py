"""One stream of one caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from synnefo_tx.caller import Caller
from synnefo_tx.changes.model import Position, told
from synnefo_tx.rest.streaming import StreamBody


class Ending(Protocol):
    """What was begun and can be ended."""

    def end(self) -> None:
        """Not any more."""


class Watching(Protocol):
    """Who knows when somebody is let in no more."""

    def watch(self, caller: Caller, lost: Callable[[str], None]) -> Ending:
        """Have ``lost(reason)`` called when that is so."""


class Subscriber:
    """Events to one client; ``resumed`` is where an earlier stream of theirs had come to, and
    ``n`` the number of the last change that was told or is not to be told."""

    def __init__(self, caller: Caller, resumed: Position | None, body: StreamBody) -> None:
        self.caller = caller
        self.resumed = resumed
        self.n = 0
        self._body = body

    @property
    def is_open(self) -> bool:
        """Whether somebody may still read."""
        return self._body.is_open

    def hello(self, place: Position) -> None:
        """Begin: what changes after ``place`` will be told."""
        self.n = place.n
        self._body.write(told("hello", place))

    def reset(self, place: Position) -> None:
        """Changes were missed; the client must list anew what it has."""
        self.n = place.n
        self._body.write(told("reset", place))

    def beat(self, place: Position) -> None:
        """Say that all up to ``place`` was said."""
        self._body.write(told("beat", place))

    def tell(self, events: Sequence[bytes]) -> None:
        """Pass events on."""
        self._body.write(b"".join(events))

    def end(self) -> None:
        """End the stream, after what is under way."""
        self._body.end()
