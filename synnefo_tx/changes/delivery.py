"""Who is told what of some changes: each thing is read once, for all who may see it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from synnefo_tx.changes.model import Change, Kind, Position, Seen, Touched, gone, put, touched
from synnefo_tx.changes.subscriber import Subscriber

Things = Mapping[tuple[str, str], Sequence[Seen]]
Streams = Mapping[str, Collection[Subscriber]]
"""Those of each user."""


async def deliver(
    kinds: Mapping[str, Kind], changes: Sequence[Change], epoch: int, streams: Streams
) -> int:
    """Tell changes to those who see what was changed, or did; the count of events."""
    told = [each for each in touched(changes) if each.kind in kinds]
    things = await _things(kinds, told, list(streams))
    events: dict[Subscriber, list[bytes]] = {}
    for each in told:
        _tell(kinds[each.kind], each, epoch, things.get((each.kind, each.key), ()), streams, events)
    for subscriber, frames in events.items():
        subscriber.tell(frames)
    return sum(map(len, events.values()))


async def _things(
    kinds: Mapping[str, Kind], told: Sequence[Touched], users: Sequence[str]
) -> dict[tuple[str, str], list[Seen]]:
    keys: dict[str, list[str]] = {}
    for each in told:
        keys.setdefault(each.kind, []).append(each.key)
    found: dict[tuple[str, str], list[Seen]] = {}
    for name, wanted in keys.items():
        for seen in await kinds[name].read(wanted, users):
            found.setdefault((name, seen.key), []).append(seen)
    return found


def _tell(
    kind: Kind,
    thing: Touched,
    epoch: int,
    views: Sequence[Seen],
    streams: Streams,
    events: dict[Subscriber, list[bytes]],
) -> None:
    place = Position(epoch, thing.n)
    see: set[str] = set()
    for view in views:
        see.update(view.users)
        _add(put(kind, place, thing.key, view.document), thing.n, view.users, streams, events)
    others = (streams.keys() if thing.everyone else thing.viewers) - see
    if others:
        _add(gone(kind, place, thing.key), thing.n, others, streams, events)


def _add(
    event: bytes,
    n: int,
    users: Collection[str],
    streams: Streams,
    events: dict[Subscriber, list[bytes]],
) -> None:
    for user in users:
        for subscriber in streams.get(user, ()):
            if n > subscriber.n:
                events.setdefault(subscriber, []).append(event)
