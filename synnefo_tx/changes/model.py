"""Changes, their places in the stream, and the bytes that tell of them."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import Any, Protocol

from attrs import field, frozen

POSITION = re.compile(r"(\d{1,18})\.(\d{1,18})")


@frozen(order=True)
class Position:
    """A place in the stream: the epoch of its numbers, and the last of them that was told."""

    epoch: int
    n: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.n}"


def position(text: str) -> Position | None:
    """The place that an ``id`` names; None for what no stream of ours ever gave."""
    found = POSITION.fullmatch(text)
    return None if found is None else Position(int(found[1]), int(found[2]))


@frozen
class Change:
    """Something was changed; ``viewer``, and everybody if ``everyone``, may have seen it before."""

    n: int
    kind: str
    key: str
    viewer: str | None = None
    everyone: bool = False
    lag_seconds: float = 0.0


@frozen
class Touched:
    """All that a batch of changes says of one thing, told once: at the place of the last."""

    n: int
    kind: str
    key: str
    viewers: frozenset[str] = frozenset()
    everyone: bool = False


@frozen
class Seen:
    """A thing as it is now, and those of the users asked about who see it in their lists."""

    key: str
    document: bytes = field(repr=False)
    users: Collection[str]


class Kind(Protocol):
    """Things that the stream tells of; each component brings its own.

    A thing may come several times, with a document for each group of users.
    """

    @property
    def name(self) -> str:
        """What events of this kind are called."""

    @property
    def has_numbers(self) -> bool:
        """Whether documents show the id as a number."""

    async def read(self, keys: Sequence[str], users: Sequence[str]) -> Sequence[Seen]:
        """Those of the things ``keys`` that any of ``users`` sees."""


def touched(changes: Sequence[Change]) -> list[Touched]:
    """What a batch of changes comes to, in the order of the stream."""
    latest: dict[tuple[str, str], Touched] = {}
    for each in changes:
        before = latest.pop((each.kind, each.key), None)
        viewers = frozenset() if before is None else before.viewers
        if each.viewer is not None:
            viewers |= {each.viewer}
        everyone = each.everyone or (before is not None and before.everyone)
        latest[each.kind, each.key] = Touched(each.n, each.kind, each.key, viewers, everyone)
    return list(latest.values())


def frame(event: str, place: Position, data: bytes) -> bytes:
    """An event as it goes over the wire (HTML standard §9.2.5); ``data`` is one line."""
    return b"event: %b\nid: %b\ndata: %b\n\n" % (event.encode(), str(place).encode(), data)


def put(kind: Kind, place: Position, key: str, document: bytes) -> bytes:
    """The event that shows a thing as it is."""
    return frame(
        kind.name, place, b'{"op": "put", "id": %b, "doc": %b}' % (_id(kind, key), document)
    )


def gone(kind: Kind, place: Position, key: str) -> bytes:
    """The event that says that a thing is not seen any more."""
    return frame(kind.name, place, b'{"op": "del", "id": %b}' % _id(kind, key))


def told(event: str, place: Position, **data: Any) -> bytes:
    """An event of the stream itself: hello, beat, reset."""
    return frame(event, place, json.dumps(data).encode())


def _id(kind: Kind, key: str) -> bytes:
    return (key if kind.has_numbers else json.dumps(key)).encode()
