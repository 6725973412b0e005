"""The journal's rows: who sees which, that they stay, and where they lie."""

from __future__ import annotations

from datetime import UTC, datetime

from psycopg2 import errors
from twisted.internet.defer import Deferred

from synnefo_tx.caller import OPERATOR, Caller
from synnefo_tx.db.pool import DatabaseUnavailable
from synnefo_tx.db.sweeping import STEP_ROWS
from synnefo_tx.journal import rules
from synnefo_tx.journal.acting import Actor
from synnefo_tx.journal.model import Scope
from synnefo_tx.journal.operations import Journal
from synnefo_tx.journal.record import DETAILS_MAX, record, record_end
from synnefo_tx.journal.store import PartitionStore
from synnefo_tx.log import request_id
from synnefo_tx.settings import Journal as Settings
from tests.support.database import DatabaseTestCase, open_database
from tests.support.processes import until

ANN = Caller(user="ann", projects=("ann", "lab"))
BOB = Caller(user="bob", projects=("bob",))
NAMES = "SELECT relname FROM pg_class WHERE relname LIKE 'journal_%%' AND relkind = 'r'"


class JournalTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.journal = Journal(self.database, Settings(months_kept=2))

    async def write(self, action: str, kind="server", object=1, **fields) -> None:
        async with self.database.transaction("act") as tx:
            await record(tx, action, kind, object, **fields)

    async def actions(self, caller: Caller, **asked) -> list[str]:
        return [each.action for each in await self.journal.page(caller, Scope(**asked))]

    async def test_row(self) -> None:
        """A row says who, from where, by which request, what, on which thing, for whom; what needs
        no job is done at once."""
        before = request_id.set("req-1")
        try:
            who = Actor("ann", "192.0.2.1")
            await self.write("start", actor=who, owner="ann", project="lab", details="x\0" * 999)
        finally:
            request_id.reset(before)
        (entry,) = await self.journal.page(ANN, Scope())
        self.assertEqual(
            (entry.actor, entry.remote, entry.request, entry.action, entry.kind, entry.object),
            ("ann", "192.0.2.1", "req-1", "start", "server", "1"),
        )
        self.assertEqual((entry.owner, entry.project, entry.result), ("ann", "lab", "done"))
        self.assertEqual(entry.ended, entry.at)
        self.assertEqual(entry.details, "x" * 999)
        self.assertLess(999, DETAILS_MAX)

    async def test_system(self) -> None:
        """What nobody is behind, the system did."""
        await self.write("sweep")
        (entry,) = await self.journal.page(OPERATOR, Scope())
        self.assertEqual(entry.actor, "system")

    async def test_end(self) -> None:
        """What is begun has no result until a later row says what came of it."""
        await self.write("start", owner="ann", operation="i-1")
        await self.write("stop", owner="ann", operation="i-2")
        (_, begun) = await self.journal.page(ANN, Scope())
        self.assertEqual((begun.result, begun.ended), ("", None))
        async with self.database.transaction("settle") as tx:
            await record_end(tx, "i-1", "error", "no memory on node1")
        (other, ended) = await self.journal.page(ANN, Scope())
        self.assertEqual((ended.result, ended.error), ("error", "no memory on node1"))
        self.assertIsNotNone(ended.ended)
        self.assertEqual((other.result, other.ended), ("", None))

    async def test_rolled_back(self) -> None:
        """What was undone is not in it."""
        with self.assertRaises(ZeroDivisionError):
            async with self.database.transaction("act") as tx:
                await record(tx, "start", "server", 1)
                raise ZeroDivisionError
        self.assertEqual(await self.actions(OPERATOR), [])

    async def test_visible(self) -> None:
        """A user sees what was done to their own things, by whomever, and to projects they are in;
        nothing else, whatever they ask for. The operator sees all."""
        await self.write("own", object=1, owner="ann", project="lab", actor=Actor("operator:root"))
        await self.write("foreign", object=2, owner="bob", project="bob", actor=Actor("ann"))
        await self.write("member", object=3, owner="bob", project="lab")
        await self.write("project", "project", "lab", owner="bob", project="lab")
        await self.write("own-project", "project", "ann", owner="ann", project="ann")
        await self.write("other-project", "project", "bob", owner="bob", project="bob")
        self.assertEqual(await self.actions(ANN), ["own-project", "project", "own"])
        self.assertEqual(await self.actions(ANN, project="lab"), ["project", "own"])
        self.assertEqual(await self.actions(ANN, project="bob"), [])
        self.assertEqual(await self.actions(ANN, kind="server", object="1"), ["own"])
        self.assertEqual(await self.actions(ANN, kind="server", object="2"), [])
        self.assertEqual(len(await self.actions(OPERATOR)), 6)
        self.assertEqual(await self.actions(OPERATOR, kind="server", object="2"), ["foreign"])

    async def test_rare(self) -> None:
        """The newest of a user's things, and of a project, are found however much was done to
        others since; a user may not ask for another's."""
        await self.write("rare", owner="ann", project="lab")
        for _ in range(5):
            await self.write("often", owner="bob", project="bob")
        for asked in (Scope(owner="ann"), Scope(project="lab"), Scope(owner="ann", project="lab")):
            (entry,) = await self.journal.page(OPERATOR, asked, 2)
            self.assertEqual(entry.action, "rare")
        self.assertEqual(await self.actions(OPERATOR, owner="ann", project="bob"), [])
        self.assertEqual(await self.actions(BOB, owner="ann"), ["often"] * 5)

    async def test_pages(self) -> None:
        """Pages follow each other without gap or repetition."""
        for index in range(7):
            await self.write(f"{index}", owner="ann" if index % 2 else "bob")
        seen, before = [], None
        while True:
            page = await self.journal.page(OPERATOR, Scope(before=before), 3)
            seen += [each.action for each in page]
            if len(page) < 3:
                break
            before = page[-1].id
        self.assertEqual(seen, list("6543210"))

    async def test_unchangeable(self) -> None:
        """No row is changed or deleted, in any partition, before and after it has one."""
        await self.write("start")
        for _ in range(2):
            for sql in (
                "UPDATE journal SET actor = 'somebody else'",
                "DELETE FROM journal",
                "TRUNCATE journal",
                "TRUNCATE journal_rest",
            ):
                with self.assertRaises(errors.RaiseException):
                    async with self.database.transaction("forge") as tx:
                        await tx.run(sql)
            await self.journal.keep_partitions()
        (month,) = [name for (name,) in await self.database.read(NAMES) if await self.rows_in(name)]
        for sql in (f"DELETE FROM {month}", f"TRUNCATE {month}", f"UPDATE {month} SET id = 1"):
            with self.assertRaises(errors.RaiseException):
                async with self.database.transaction("forge") as tx:
                    await tx.run(sql)
        self.assertEqual(await self.actions(OPERATOR), ["start"])

    async def rows_in(self, name: str) -> int:
        return (await self.database.read(f"SELECT count(*) FROM {name}"))[0][0]

    async def at(self, moment: datetime) -> None:
        """Let the schema's clock stand at a moment."""
        async with self.database.transaction("clock") as tx:
            await tx.run(
                "CREATE OR REPLACE FUNCTION synnefo_now() RETURNS timestamptz LANGUAGE sql STABLE"
                f" AS $$ SELECT '{moment.isoformat()}'::timestamptz $$"
            )

    async def partitions(self) -> dict[str, int]:
        return {
            name: await self.rows_in(name) for (name,) in sorted(await self.database.read(NAMES))
        }

    async def test_months(self) -> None:
        """Months are made ahead; what came before there was one moves there; old ones go."""
        await self.at(datetime(2026, 10, 31, 23, 59, tzinfo=UTC))
        await self.write("first")
        self.assertEqual(await self.partitions(), {"journal_rest": 1})
        await self.journal.keep_partitions()
        self.assertEqual(
            await self.partitions(),
            {"journal_2026_10": 1, "journal_2026_11": 0, "journal_2026_12": 0, "journal_rest": 0},
        )
        await self.at(datetime(2026, 11, 1, tzinfo=UTC))
        await self.write("second")
        await self.at(datetime(2027, 1, 15, tzinfo=UTC))
        await self.write("third")
        await self.journal.keep_partitions()
        await self.journal.keep_partitions()
        self.assertEqual(
            await self.partitions(),
            {
                "journal_2026_11": 1,
                "journal_2026_12": 0,
                "journal_2027_01": 1,
                "journal_2027_02": 0,
                "journal_2027_03": 0,
                "journal_rest": 0,
            },
        )
        self.assertEqual(await self.actions(OPERATOR), ["third", "second"])

    async def test_much_without_month(self) -> None:
        """However much was written while no month had its partition: it moves in steps between
        which others write, goes on after a stop, and in the end all is seen, once."""
        count = STEP_ROWS + 10
        async with self.database.transaction("fill") as tx:
            await tx.run(
                "INSERT INTO journal (at, actor, action, kind, object)"
                " SELECT synnefo_now() - n %% 70 * interval '1 day', '', n, 'server', 1"
                " FROM generate_series(1, %(count)s) AS n",
                {"count": count},
            )
        await self.journal._make()
        async with self.database.transaction("first") as tx:
            store = PartitionStore(tx)
            self.assertTrue(await store.is_aside())
            self.assertEqual(await store.move(STEP_ROWS), STEP_ROWS)
        await self.write("meanwhile")
        self.journal = Journal(self.database, Settings(months_kept=0))
        await self.journal.keep_partitions()
        (row,) = await self.database.read("SELECT count(*), count(DISTINCT action) FROM journal")
        self.assertEqual(row, (count + 1, count + 1))
        partitions = await self.partitions()
        self.assertEqual(partitions["journal_rest"], 0)
        self.assertNotIn("journal_aside", partitions)
        for sql in ("DELETE FROM journal", "TRUNCATE journal_rest"):
            with self.assertRaises(errors.RaiseException):
                async with self.database.transaction("forge") as tx:
                    await tx.run(sql)

    async def test_writer_meanwhile(self) -> None:
        """Who writes while partitions are made waits for them, and the row finds its place: when
        there was none for its month, and when what was in none is set aside."""
        for name in ("first", "second"):
            async with self.database.transaction("make") as tx:
                store = PartitionStore(tx)
                months = rules.wanted(await store.today(), [], [])
                await store.keep_writers_out()
                if name == "first":
                    await store.attach(months[0])
                else:
                    await store.set_rest_aside(months[1:])
                writing = Deferred.fromCoroutine(self.write(name))
                await until(self.is_waiting, 10, "the writer waits")
            await writing
        self.assertEqual(await self.actions(OPERATOR), ["second", "first"])

    async def is_waiting(self) -> bool:
        return bool(await self.database.read("SELECT 1 FROM pg_locks WHERE NOT granted"))

    async def test_writer_in_the_way(self) -> None:
        """While somebody writes, partitions wait a second and leave it; nobody waits for them."""
        other = open_database(self.url)
        try:
            await self.write("first")
            async with other.transaction("slow") as tx:
                await record(tx, "slow", "server", 1)
                with self.assertRaises((errors.LockNotAvailable, DatabaseUnavailable)):
                    await self.journal.keep_partitions()
            await self.journal.keep_partitions()
            self.assertEqual(await self.actions(OPERATOR), ["slow", "first"])
        finally:
            await other.close()
