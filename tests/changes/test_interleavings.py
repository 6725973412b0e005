"""Whatever the order of writes, commits and deaths: who follows the stream knows what a list shows.

Processes are a pool, elections, a sequencer and a feed each, on connections of their own. Writers
are plain connections that stop between a statement and its COMMIT for as long as they like.
"""

from __future__ import annotations

import json
import random

import psycopg2
from twisted.internet import reactor
from twisted.internet.task import deferLater

from synnefo_tx.caller import Caller
from synnefo_tx.changes.epochs import Epochs
from synnefo_tx.changes.feed import Feed
from synnefo_tx.changes.figures import StreamFigures
from synnefo_tx.changes.model import Seen, position
from synnefo_tx.changes.sequencer import Demand, Sequencer
from synnefo_tx.changes.subscriber import Subscriber
from synnefo_tx.db.connect import connector, election_connector
from synnefo_tx.db.election import Elections
from synnefo_tx.db.listener import Listener
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.settings import DatabaseSettings
from tests.support.database import DatabaseTestCase, open_database
from tests.support.processes import until

THINGS = """
CREATE TABLE things (id int PRIMARY KEY, content int NOT NULL DEFAULT 0);
CREATE FUNCTION note_thing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO stream_changes (kind, key, everyone)
    VALUES ('thing', coalesce(NEW.id, OLD.id), true);
    RETURN NULL;
END $$;
CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON things
    FOR EACH ROW EXECUTE FUNCTION note_thing();
"""
PUT = """
INSERT INTO things VALUES (%(id)s) ON CONFLICT (id) DO UPDATE SET content = things.content + 1
"""
DELETE = "DELETE FROM things WHERE id = %(id)s"
ALL = "SELECT id, content FROM things"
WRITERS = 4
STEPS = 120
RUNS = 2


class Things:
    """Everybody sees every thing."""

    name = "thing"
    has_numbers = True

    def __init__(self, database) -> None:
        self._database = database

    async def read(self, keys, users):
        rows = await self._database.read(
            f"{ALL} WHERE id = ANY (%(ids)s)", {"ids": [int(key) for key in keys]}
        )
        return [Seen(str(id), json.dumps(content).encode(), users) for id, content in rows]


class Process:
    """What of a process the stream needs; ``kill`` ends its connections without a word."""

    def __init__(self, url: str, name: str) -> None:
        settings = DatabaseSettings()
        self.database = open_database(url)
        self.listener = Listener(connector(reactor, url, settings), reactor)
        self.elections = Elections(
            election_connector(reactor, url, settings), reactor, name, silence_seconds=5
        )
        self.sequencer = Sequencer(
            self.database,
            self.listener,
            reactor,
            self.elections,
            Demand(self.listener, reactor),
            Epochs(self.database),
        )
        self.feed = Feed(
            self.database, [Things(self.database)], self.listener, reactor, StreamFigures(Metrics())
        )
        for each in (self.listener, self.sequencer, self.elections):
            each.startService()

    async def stop(self) -> None:
        await self.elections.stopService()
        await self.sequencer.stopService()
        await self.feed.ended()
        await self.listener.stopService()
        await self.database.close()


class Body:
    """The body of a reply that somebody reads at once."""

    def __init__(self, follower) -> None:
        self.is_open = True
        self._follower = follower

    def write(self, data: bytes) -> None:
        if self.is_open:
            self._follower.read(data)

    def end(self) -> None:
        self.is_open = False


class Follower:
    """A client: what it knows, and where it is; it lists when it is told to."""

    def __init__(self, database) -> None:
        self._database = database
        self.known: dict[int, int] = {}
        self.place = ""
        self.resets = 0
        self._must_list = True
        self._touched: set[int] = set()
        self._stream = None

    def connect(self, feed) -> None:
        resumed = position(self.place) if self.place else None
        subscriber = Subscriber(Caller(user="somebody"), resumed, Body(self))
        self._stream = feed, subscriber
        feed.join(subscriber)

    def cut(self) -> None:
        feed, subscriber = self._stream
        subscriber.end()
        feed.leave(subscriber)

    def read(self, data: bytes) -> None:
        for block in data.decode().split("\n\n")[:-1]:
            fields = dict(line.split(": ", 1) for line in block.split("\n"))
            self.place = fields["id"]
            content = json.loads(fields["data"])
            if fields["event"] == "reset":
                self.resets += 1
                self._must_list = True
            elif fields["event"] == "thing":
                self._touched.add(content["id"])
                if content["op"] == "put":
                    self.known[content["id"]] = content["doc"]
                else:
                    self.known.pop(content["id"], None)

    async def list(self) -> None:
        """List if that is needed; what the stream told meanwhile is newer or told again."""
        if not self._must_list or not self.place:
            return
        self._must_list = False
        self._touched.clear()
        listed = dict(await self._database.read(ALL))
        told = {id: self.known[id] for id in self._touched & self.known.keys()}
        rest = {id: each for id, each in listed.items() if id not in self._touched}
        self.known = rest | told


class InterleavingTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        await self.database.read(THINGS)
        self.writers = [psycopg2.connect(self.url) for _ in range(WRITERS)]
        self.processes = [Process(self.url, name) for name in ("first", "second")]

    async def stop(self) -> None:
        for follower in self.followers:
            follower.cut()
        for each in self.processes:
            await each.stop()
        for each in self.writers:
            each.close()

    def write(self, writer: int, chance: random.Random) -> None:
        # Each writer has things of its own: none waits for another's lock.
        id = writer * 10 + chance.randrange(10)
        with self.writers[writer].cursor() as cursor:
            cursor.execute(DELETE if chance.random() < 0.2 else PUT, {"id": id})

    async def replace_sequencer(self) -> None:
        """End the process that numbers, as a kill does; another one begins in its place."""
        leader = next((each for each in self.processes if each.elections.led), None)
        if leader is None:
            return
        with self.admin.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'synnefo stands for%%' AND datname ="
                " current_database() AND pid IN (SELECT pid FROM pg_locks WHERE locktype ="
                " 'advisory')"
            )

    async def test_any_interleaving(self) -> None:
        """Followers that are cut, change the process, and see the sequencer die, end with what a
        list shows; none is ever told to list anew."""
        self.admin = psycopg2.connect(self.url)
        self.admin.autocommit = True
        self.addCleanup(self.admin.close)
        self.followers = [Follower(self.database) for _ in range(3)]
        for number, each in enumerate(self.followers):
            each.connect(self.processes[number % 2].feed)
        for run in range(RUNS):
            chance = random.Random(f"stream {run}")
            await self.steps(chance)
            await self.commit_late(chance)
            listed = dict(await self.database.read(ALL))

            async def agree(listed=listed) -> bool:
                for each in self.followers:
                    await each.list()
                return all(each.known == listed for each in self.followers)

            await until(agree, 15, "followers know what is listed")
        self.assertEqual([each.resets for each in self.followers], [0, 0, 0])
        epochs = await self.database.read("SELECT epoch FROM elections WHERE name = 'sequencer'")
        self.assertGreater(epochs[0][0], 1)
        await self.stop()

    async def commit_late(self, chance: random.Random) -> None:
        """The last statements of all were written at once; they are committed one by one, while
        what was committed before is told."""
        order = list(range(WRITERS))
        for number in order:
            self.write(number, chance)
        chance.shuffle(order)
        for number in order:
            self.writers[number].commit()
            await deferLater(reactor, 0.2)

    async def steps(self, chance: random.Random) -> None:
        for step in range(STEPS):
            what, writer = chance.random(), chance.randrange(WRITERS)
            follower = chance.choice(self.followers)
            if what < 0.45:
                self.write(writer, chance)
            elif what < 0.6:
                self.writers[writer].commit()
            elif what < 0.66:
                self.writers[writer].rollback()
            elif what < 0.8:
                await deferLater(reactor, chance.uniform(0, 0.05))
            elif what < 0.9:
                follower.cut()
                follower.connect(chance.choice(self.processes).feed)
            else:
                await follower.list()
            if step == STEPS // 2:
                await self.replace_sequencer()
