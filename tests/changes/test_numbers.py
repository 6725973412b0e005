"""How soon a commit is told, and what it costs to number many changes."""

from __future__ import annotations

import psycopg2
from twisted.internet.task import Clock

from synnefo_tx.changes.sequencer import TELL_SECONDS, Announcer, Demand
from synnefo_tx.changes.store import (
    NUMBER_MAX,
    WANTED,
    WRITTEN,
    end_of_stream,
    number,
    pending,
    sweep,
)
from synnefo_tx.db.sweeping import STEP_ROWS
from tests.support.database import DatabaseTestCase
from tests.support.processes import until

MADE = "INSERT INTO stream_changes (kind, key) SELECT 'thing', n FROM generate_series(1, {}) AS n"
NUMBER_LIMIT = "SET LOCAL statement_timeout = '1s'"


class NumberTests(DatabaseTestCase):
    async def test_many_at_once(self) -> None:
        """A burst that PostgreSQL's statistics know nothing of is numbered well within the time of
        a transaction, whatever the table held before; each has a number of its own."""
        async with self.database.transaction("history") as tx:
            await tx.run(MADE.format(20_000))
            await tx.run("UPDATE stream_changes SET n = id, numbered = synnefo_now()")
            await tx.run("UPDATE stream_sequence SET last = 20000")
        await self.database.read("ANALYZE stream_changes")
        async with self.database.transaction("burst") as tx:
            await tx.run(MADE.format(NUMBER_MAX + 10))
        for expected in (NUMBER_MAX, 10, 0):
            async with self.database.transaction("number") as tx:
                await tx.run(NUMBER_LIMIT)
                self.assertEqual(await number(tx, minor=True), expected)
        rows = await self.database.read(
            "SELECT count(*), count(DISTINCT n), max(n) FROM stream_changes"
        )
        end = await end_of_stream(self.database)
        self.assertEqual(rows, [(22_010, 22_010, end.n)])

    async def test_late_commit(self) -> None:
        """What was written before and committed after others has a number after theirs."""
        late = psycopg2.connect(self.url)
        self.addCleanup(late.close)
        with late.cursor() as cursor:
            cursor.execute(MADE.format(1))
        async with self.database.transaction("others") as tx:
            await tx.run(MADE.format(3))
        before = await self.number()
        late.commit()
        after = await self.number()
        self.assertEqual((len(before), len(after)), (3, 1))
        self.assertLess(max(before), after[0])

    async def test_swept_in_steps(self) -> None:
        """Old changes go in bounded steps, however many have gathered, and what is not kept any
        more is known at each; newer ones stay."""
        async with self.database.transaction("history") as tx:
            await tx.run(MADE.format(STEP_ROWS + 20))
            await tx.run(
                "UPDATE stream_changes SET n = id, numbered = synnefo_now() - interval '1 hour'"
                " + (CASE WHEN id > %(old)s THEN interval '1 hour' ELSE interval '0' END)",
                {"old": STEP_ROWS + 10},
            )
        for count, swept, left in ((STEP_ROWS, STEP_ROWS, 20), (10, STEP_ROWS + 10, 10), (0,) * 3):
            async with self.database.transaction("sweep") as tx:
                self.assertEqual(await sweep(tx, 300.0), count)
            if count:
                rows = await self.database.read(
                    "SELECT swept, (SELECT count(*) FROM stream_changes) FROM stream_sequence"
                )
                self.assertEqual(rows, [(swept, left)])

    async def test_numbered_ahead(self) -> None:
        """Changes that were numbered while the clock was ahead do not stand before the others."""
        async with self.database.transaction("history") as tx:
            await tx.run(MADE.format(10))
            await tx.run(
                "UPDATE stream_changes SET n = id, numbered = synnefo_now() + interval '1 year'"
            )
        async with self.database.transaction("sweep") as tx:
            self.assertEqual(await sweep(tx, 300.0), 10)

    async def test_minor(self) -> None:
        """Minor changes wait until they are asked for."""
        async with self.database.transaction("minor") as tx:
            await tx.run(MADE.format(1))
            await tx.run("UPDATE stream_changes SET minor = true")
        self.assertEqual(await pending(self.database), (False, True))
        self.assertEqual(await self.number(), [])
        self.assertEqual(len(await self.number(minor=True)), 1)
        self.assertEqual(await pending(self.database), (False, False))

    async def number(self, minor: bool = False) -> list[int]:
        """The numbers given."""
        end = await end_of_stream(self.database)
        async with self.database.transaction("number") as tx:
            await number(tx, minor=minor)
        rows = await self.database.read(
            "SELECT n FROM stream_changes WHERE n > %(end)s ORDER BY n", {"end": end.n}
        )
        return [row[0] for row in rows]


class Told:
    """A listener that hears what the test says."""

    is_hearing = True

    def __init__(self) -> None:
        self.subscribers = {}

    def subscribe(self, channel, heard) -> None:
        self.subscribers[channel] = heard


class AnnouncerTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.clock, self.hearing = Clock(), Told()
        announcer = Announcer(self.database, self.clock, Demand(self.hearing, self.clock))
        announcer.startService()
        self.addCleanup(announcer.stopService)
        self.ears = psycopg2.connect(self.url)
        self.ears.autocommit = True
        self.addCleanup(self.ears.close)
        with self.ears.cursor() as cursor:
            cursor.execute(f"LISTEN {WRITTEN}")

    async def write(self) -> None:
        async with self.database.transaction("write") as tx:
            await tx.run(MADE.format(1))

    async def heard(self, count: int) -> bool:
        self.ears.poll()
        return len(self.ears.notifies) >= count

    async def test_how_often(self) -> None:
        """A commit after a pause is told at once, those that follow in one word some time later."""
        self.hearing.subscribers[WANTED]("")
        await self.write()
        self.clock.advance(0)
        await until(lambda: self.heard(1), 5, "the first commit is told")
        for _ in range(3):
            await self.write()
        self.clock.advance(TELL_SECONDS * 0.9)
        self.assertFalse(self.clock.getDelayedCalls()[0].called)
        self.clock.advance(TELL_SECONDS * 0.2)
        await until(lambda: self.heard(2), 5, "the others are told")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    async def test_unwanted(self) -> None:
        """Nothing is told while nobody follows."""
        await self.write()
        self.assertEqual(self.clock.getDelayedCalls(), [])
