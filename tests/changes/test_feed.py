"""What a process tells those who are behind, and when."""

from __future__ import annotations

from twisted.internet.task import Clock

from synnefo_tx.caller import Caller
from synnefo_tx.changes.feed import BEAT_SECONDS, Feed
from synnefo_tx.changes.figures import StreamFigures
from synnefo_tx.changes.model import Position, Seen, position
from synnefo_tx.changes.store import READ_MAX, end_of_stream
from synnefo_tx.changes.subscriber import Subscriber
from synnefo_tx.db.listener import Deaf
from synnefo_tx.rest.metrics import Metrics
from tests.support.database import DatabaseTestCase
from tests.support.processes import until

COUNT = 3 * READ_MAX


class Things:
    """Things that everybody sees; reading some of them takes as long as from beat to beat."""

    name = "thing"
    has_numbers = True

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def read(self, keys, users):
        self._clock.rightNow += BEAT_SECONDS
        return [Seen(key, b"{}", users) for key in keys]


class Body:
    """A client that reads at once; what it was told as (name of event, place)."""

    is_open = True

    def __init__(self) -> None:
        self.told: list[tuple[str, Position]] = []

    def write(self, data: bytes) -> None:
        for event in data.decode().split("\n\n")[:-1]:
            name, id, _ = (line.partition(": ")[2] for line in event.split("\n"))
            self.told.append((name, position(id)))


class FeedTests(DatabaseTestCase):
    async def test_beat_while_behind(self) -> None:
        """A client that catches up is never told of a place beyond what it was told: cut then, it
        would come back there and miss what lies between."""
        async with self.database.transaction("fill") as tx:
            await tx.run(
                "INSERT INTO stream_changes (kind, key, n, numbered)"
                " SELECT 'thing', n, n, synnefo_now() FROM generate_series(1, %(count)s) AS n",
                {"count": COUNT},
            )
            await tx.run("UPDATE stream_sequence SET last = %(count)s", {"count": COUNT})
        epoch = (await end_of_stream(self.database)).epoch
        clock, body = Clock(), Body()
        feed = Feed(self.database, [Things(clock)], Deaf(), clock, StreamFigures(Metrics()))
        subscriber = Subscriber(Caller(user="ann"), Position(epoch, 0), body)
        feed.join(subscriber)

        async def is_level() -> bool:
            return ("beat", Position(epoch, COUNT)) == (body.told or [None])[-1]

        await until(is_level, 10, "all told")
        feed.leave(subscriber)
        clock.advance(1)
        await feed.ended()
        places = [place.n for _, place in body.told]
        self.assertEqual(places, sorted(places))
        self.assertEqual(next(n for name, n in body.told if name == "thing").n, 1)
        beats = [index for index, (name, _) in enumerate(body.told) if name == "beat"]
        self.assertGreaterEqual(len(beats), 3)
        for index in beats:
            self.assertEqual(places[index], places[index - 1])
