"""Polling for changes while transactions are open: none is missed, however late it is committed."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import psycopg2

from synnefo_tx.db.horizon import commit_horizon
from tests.support.database import DatabaseTestCase

THINGS = """
CREATE TABLE things (id int PRIMARY KEY, content int NOT NULL DEFAULT 0,
 updated timestamptz NOT NULL DEFAULT synnefo_now(), changed_xid xid8);
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON things
 FOR EACH ROW EXECUTE FUNCTION stamp_change();
INSERT INTO things SELECT generate_series(1, 40)
"""
CHANGE = "UPDATE things SET content = content + 1, updated = synnefo_now() WHERE id = %(id)s"
CHANGED = "SELECT id, content FROM things WHERE updated >= %(since)s"
ALL = "SELECT id, content FROM things"
WRITERS = 4
RUNS = 8
STEPS = 50


def a_second_down(moment: datetime) -> datetime:
    """A moment as the header ``Date`` tells it."""
    return moment.replace(microsecond=0)


class Poller:
    """A client that polls; what it knows by now, and since when it will ask."""

    def __init__(self, database, rounded) -> None:
        self._database = database
        self._rounded = rounded
        self.known: dict[int, int] = {}
        self.since = datetime(2020, 1, 1, tzinfo=UTC)

    async def poll(self) -> int:
        """Ask for what changed; how much that was."""
        horizon = await commit_horizon(self._database)
        rows = await self._database.read(CHANGED, {"since": self.since})
        self.known.update(rows)
        self.since = self._rounded(horizon)
        return len(rows)


class HorizonTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        await self.database.read(THINGS)
        self.writers = [psycopg2.connect(self.url) for _ in range(WRITERS)]
        for each in self.writers:
            self.addCleanup(each.close)
        self.poller = Poller(self.database, lambda moment: moment)

    def write(self, writer: int, id: int) -> None:
        with self.writers[writer].cursor() as cursor:
            cursor.execute(CHANGE, {"id": id})

    async def assert_complete(self) -> None:
        self.assertEqual(self.poller.known, dict(await self.database.read(ALL)))

    async def test_nothing_open(self) -> None:
        """While nobody writes the horizon is now, and a poll shows nothing twice."""
        await self.poller.poll()
        self.assertEqual([await self.poller.poll() for _ in range(3)], [0, 0, 0])
        now = (await self.database.read("SELECT synnefo_now()"))[0][0]
        self.assertLess(now - self.poller.since, timedelta(seconds=1))

    async def test_late_commit(self) -> None:
        """What was written before a poll and is committed after others' later changes is shown."""
        self.write(0, 1)
        await self.poller.poll()
        for id in (2, 3):
            self.write(1, id)
            self.writers[1].commit()
            await self.poller.poll()
        self.writers[0].commit()
        self.assertGreaterEqual(await self.poller.poll(), 1)
        await self.assert_complete()

    async def test_begun_before_its_number(self) -> None:
        """A transaction that only read at first, and has no number when it is polled, is not
        missed when it writes."""
        with self.writers[0].cursor() as cursor:
            cursor.execute(ALL)
        await self.poller.poll()
        self.write(0, 1)
        self.writers[0].commit()
        self.assertEqual(await self.poller.poll(), 1)
        await self.assert_complete()

    async def test_newest_is_open(self) -> None:
        """The transaction with the newest number, which a snapshot does not list, is seen."""
        self.write(0, 1)
        self.writers[0].commit()
        self.write(0, 2)  # nothing newer was ever begun
        horizon = await commit_horizon(self.database)
        self.writers[0].commit()
        rows = await self.database.read(CHANGED, {"since": horizon})
        self.assertIn(2, dict(rows))

    async def test_open_for_long(self) -> None:
        """One that is open for longer than any bound holds the horizon back to its beginning."""
        with self.writers[0].cursor() as cursor:
            cursor.execute("SELECT now()")
            begun = cursor.fetchone()[0]
        self.write(0, 1)
        with self.writers[1].cursor() as cursor:
            # The margin for races is not what holds it back.
            cursor.execute(
                "CREATE OR REPLACE FUNCTION synnefo_now() RETURNS timestamptz LANGUAGE sql STABLE"
                " AS 'SELECT now() + interval ''1 hour'''"
            )
        self.writers[1].commit()
        self.assertLessEqual(await commit_horizon(self.database), begun)

    async def test_any_interleaving(self) -> None:
        """Whatever the order of writes, commits, rollbacks and polls, with a Date in whole seconds
        or exact, whoever polls knows in the end what a list shows."""
        for run in range(RUNS):
            chance = random.Random(f"horizon {run}")
            rounded = a_second_down if run % 4 == 0 else (lambda moment: moment)
            self.poller = Poller(self.database, rounded)
            for _ in range(STEPS):
                writer = chance.randrange(WRITERS)
                what = chance.random()
                if what < 0.45:
                    # Each writer has things of its own: none waits for another's lock.
                    self.write(writer, writer * 10 + chance.randrange(1, 11))
                elif what < 0.6:
                    self.writers[writer].commit()
                elif what < 0.7:
                    self.writers[writer].rollback()
                else:
                    await self.poller.poll()
            for each in self.writers:
                each.commit()
            await self.poller.poll()
            await self.assert_complete()
