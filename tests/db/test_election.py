"""Elections and fences, on PostgreSQL."""

from __future__ import annotations

import psycopg2
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from synnefo_tx.db.connect import ELECTION_LOCK_SECONDS, connector, election_connector
from synnefo_tx.db.driver import TxConnection
from synnefo_tx.db.election import LOCK, Elections
from synnefo_tx.db.electorate import Unopposed
from synnefo_tx.db.fence import Deposed, Term, current_term
from synnefo_tx.db.leaders import leaders, report
from synnefo_tx.db.pool import Database, DatabaseUnavailable, PoolLimits
from synnefo_tx.settings import DatabaseSettings
from tests.support.database import DatabaseTestCase
from tests.support.processes import until

SETTINGS = DatabaseSettings(leader_silence_seconds=1.0, transaction_idle_limit_seconds=1.0)


class Process:
    """What one process brings to an election, and a log of what it led."""

    def __init__(self, test: ElectionTestCase, holder: str, settings=SETTINGS) -> None:
        self.holder = holder
        self.led: list[str] = []
        self.terms: dict[str, Term] = {}
        self.elections = Elections(
            election_connector(reactor, test.url, settings), reactor, holder,
            settings.leader_silence_seconds,
        )  # fmt: skip
        self.elections.startService()
        test.addCleanup(lambda: Deferred.fromCoroutine(self.elections.stopService()))

    def stand(self, *names: str) -> None:
        for name in names:
            self.elections.stand(name, lambda name=name: self.work(name))

    async def work(self, name: str) -> None:
        """Lead until cancelled."""
        term = current_term.get()
        assert term is not None
        self.terms[name] = term
        self.led.append(name)
        try:
            await Deferred()
        finally:
            self.led.remove(name)


class ElectionTestCase(DatabaseTestCase):
    """Several processes' elections on one database."""

    def process(self, holder: str, *names: str, settings=SETTINGS) -> Process:
        made = Process(self, holder, settings)
        made.stand(*names)
        return made

    async def leads(self, process: Process, *names: str, seconds: float = 8) -> None:
        async def led() -> bool:
            return sorted(process.led) == sorted(names)

        await until(led, seconds, f"{process.holder} leads {names}, not {process.led}")

    def execute(self, sql: str) -> None:
        other = psycopg2.connect(self.url)
        other.autocommit = True
        with other.cursor() as cursor:
            cursor.execute(sql)
        other.close()

    def end_sessions(self) -> None:
        """End the elections' sessions on the server, as PostgreSQL's time limit does."""
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'synnefo stands%'"
        )


class ElectionTests(ElectionTestCase):
    async def test_one_leads(self) -> None:
        """Of two processes one leads; when it stops, the other does at once, in a new epoch."""
        first = self.process("first", "timers")
        await self.leads(first, "timers")
        second = self.process("second", "timers")
        await deferLater(reactor, 1.5)
        self.assertEqual((first.led, second.led), (["timers"], []))
        await first.elections.stopService()
        self.assertEqual(first.led, [])
        await self.leads(second, "timers", seconds=3)
        self.assertEqual(second.terms["timers"].epoch, first.terms["timers"].epoch + 1)
        (leader,) = await leaders(self.database)
        self.assertEqual((leader.holder, leader.epoch), ("second", 2))

    async def test_soon(self) -> None:
        """A process that is alone leads within a moment."""
        begun = reactor.seconds()
        process = self.process("only", "timers", "poller:1")
        await self.leads(process, "timers", "poller:1")
        self.assertLess(reactor.seconds() - begun, 1.0)

    async def test_lost_connection(self) -> None:
        """A lost connection ends all that the process leads; then it is elected anew."""
        process = self.process("only", "timers", "poller:1")
        await self.leads(process, "timers", "poller:1")
        epoch = process.terms["timers"].epoch
        self.end_sessions()
        await self.leads(process)
        await self.leads(process, "timers", "poller:1", seconds=10)
        self.assertEqual(process.terms["timers"].epoch, epoch + 1)

    async def test_kept_session(self) -> None:
        """A session outlives PostgreSQL's limit on silence as long as its process speaks."""
        process = self.process("only", "timers")
        await self.leads(process, "timers")
        await deferLater(reactor, 2.5)
        self.assertEqual(process.terms["timers"].epoch, 1)
        self.assertEqual(process.led, ["timers"])

    async def test_silence(self) -> None:
        """PostgreSQL ends the session of a process that says nothing."""
        connection = await election_connector(reactor, self.url, SETTINGS)()
        await deferLater(reactor, 2)
        with self.assertRaises(psycopg2.Error):
            await connection.execute("SELECT 1", None)
        self.assertTrue(connection.closed)

    async def test_withdraw(self) -> None:
        """Who withdraws has ended its work, and another may lead."""
        first = self.process("first", "poller:1", "poller:2")
        await self.leads(first, "poller:1", "poller:2")
        await first.elections.withdraw("poller:1")
        self.assertEqual(first.led, ["poller:2"])
        second = self.process("second", "poller:1")
        await self.leads(second, "poller:1")

    async def test_withdrawn_while_it_is_elected(self) -> None:
        """Who withdraws at the moment when it gets the lock keeps no other from leading."""
        name = "poller:1"
        before = self.process("before", name)
        await self.leads(before, name)
        await before.elections.withdraw(name)
        settings = DatabaseSettings(leader_silence_seconds=30.0)
        open_connection = election_connector(reactor, self.url, settings)
        withdrawn: Deferred[None] = Deferred()

        async def noticing() -> TxConnection:
            connection = await open_connection()
            execute = connection.execute

            def noticed(sql: str, values=None):
                running = execute(sql, values)
                return running.addCallback(withdraw) if sql == LOCK else running

            connection.execute = noticed  # type: ignore[method-assign]
            return connection

        def withdraw(result):
            Deferred.fromCoroutine(elections.withdraw(name)).chainDeferred(withdrawn)
            return result

        elections = Elections(noticing, reactor, "one", 30.0)
        elections.startService()
        self.addCleanup(lambda: Deferred.fromCoroutine(elections.stopService()))
        async with self.database.transaction("of the leader before") as tx:
            await tx.run("SELECT FROM elections WHERE name = %(name)s FOR SHARE", {"name": name})
            elections.stand(name, Deferred)
            await withdrawn
            await deferLater(reactor, ELECTION_LOCK_SECONDS + 0.3)
        other = self.process("other", name)
        await self.leads(other, name)

    async def test_shared(self) -> None:
        """A process that comes later gets its share of the clusters, and each has one leader."""
        names = [f"poller:{number}" for number in range(4)]
        first = self.process("first", *names)
        await self.leads(first, *names)
        second = self.process("second", *names)

        async def shared() -> bool:
            return (len(first.led), len(second.led)) == (2, 2)

        await until(shared, 25, "both lead two")
        self.assertEqual(sorted(first.led + second.led), names)

    async def test_work_that_fails(self) -> None:
        """Work that fails is logged and begun again."""
        began = []

        async def work() -> None:
            began.append(1)
            raise ZeroDivisionError

        process = self.process("only")
        process.elections.stand("timers", work)

        async def again() -> bool:
            return len(began) > 1

        await until(again, 8, "it is begun again")
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    async def test_unopposed(self) -> None:
        """A process that is alone leads at once what it stands for, until it withdraws."""
        ended = []

        async def work() -> None:
            try:
                await Deferred()
            finally:
                ended.append(1)

        alone = Unopposed()
        alone.stand("timers", work)
        self.assertEqual(ended, [])
        await alone.withdraw("timers")
        await alone.withdraw("timers")
        self.assertEqual(ended, [1])


class FenceTests(ElectionTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        async with self.database.transaction("make") as tx:
            await tx.run("CREATE TABLE thing (id int)")
            await tx.run(
                "INSERT INTO elections VALUES ('timers', 3, 'me', synnefo_now(), NULL, '{}')"
            )
        self.deposed: list[int] = []

    async def write(self, epoch: int) -> None:
        """A leader's write in a context of its own."""
        current_term.set(Term("timers", epoch, lambda: self.deposed.append(epoch)))
        async with self.database.transaction("write") as tx:
            await tx.run("INSERT INTO thing VALUES (%(id)s)", {"id": epoch})

    async def things(self) -> list[int]:
        return [row[0] for row in await self.database.read("SELECT id FROM thing")]

    async def test_refused(self) -> None:
        """A leader of an older epoch writes nothing and is told; its connection serves on."""
        await Deferred.fromCoroutine(self.write(3))
        with self.assertRaises(Deposed):
            await Deferred.fromCoroutine(self.write(2))
        self.assertEqual((await self.things(), self.deposed), ([3], [2]))
        self.assertEqual(self.database.open_count, 1)
        self.assertEqual(self.database.busy_count, 0)

    async def test_others_are_free(self) -> None:
        """What is written outside elections is not fenced."""
        async with self.database.transaction("write") as tx:
            await tx.run("INSERT INTO thing VALUES (1)")
        self.assertEqual(await self.things(), [1])

    async def test_next_waits(self) -> None:
        """The next leader begins after the transactions of the one before have ended."""
        second = self.process("second")

        async def hold() -> None:
            current_term.set(Term("timers", 3, lambda: None))
            async with self.database.transaction("long") as tx:
                second.stand("timers")
                await deferLater(reactor, 0.5)
                self.assertEqual(second.led, [])
                await tx.run("INSERT INTO thing VALUES (3)")

        await Deferred.fromCoroutine(hold())
        await self.leads(second, "timers")
        self.assertEqual(second.terms["timers"].epoch, 4)
        self.assertEqual(await self.things(), [3])

    async def test_paused_in_transaction(self) -> None:
        """A leader that sleeps in a transaction is rolled back by PostgreSQL; another leads."""
        paused = Database(connector(reactor, self.url, SETTINGS), reactor, PoolLimits())
        self.addCleanup(lambda: Deferred.fromCoroutine(paused.close()))
        second = self.process("second")

        async def sleep() -> None:
            current_term.set(Term("timers", 3, lambda: None))
            async with paused.transaction("sleepy") as tx:
                await tx.run("INSERT INTO thing VALUES (3)")
                second.stand("timers")
                await self.leads(second, "timers", seconds=10)
                await tx.run("INSERT INTO thing VALUES (3)")

        with self.assertRaises(DatabaseUnavailable):
            await Deferred.fromCoroutine(sleep())
        self.assertEqual(await self.things(), [])

    async def test_lost_before_commit(self) -> None:
        """That a transaction was rolled back while its task slept is told, not left unknown."""
        paused = Database(connector(reactor, self.url, SETTINGS), reactor, PoolLimits())
        self.addCleanup(lambda: Deferred.fromCoroutine(paused.close()))
        with self.assertRaises(DatabaseUnavailable):
            async with paused.transaction("sleepy") as tx:
                await tx.run("INSERT INTO thing VALUES (3)")
                await deferLater(reactor, 2)
        self.assertEqual((await self.things(), paused.open_count), ([], 0))

    async def test_deposed_stops(self) -> None:
        """A leader whose write is refused stops all its work, and stands again."""
        process = self.process("only")
        ended = []

        async def work() -> None:
            term = current_term.get()
            if term.epoch == 4:
                self.execute("UPDATE elections SET epoch = 7 WHERE name = 'timers'")
            try:
                async with self.database.transaction("write") as tx:
                    await tx.run("INSERT INTO thing VALUES (%(id)s)", {"id": term.epoch})
                await Deferred()
            except CancelledError:
                ended.append(term.epoch)
                raise

        process.elections.stand("timers", work)

        async def wrote() -> bool:
            return await self.things() == [8]

        await until(wrote, 10, "the new term's write")
        self.assertEqual(ended, [4])

    async def test_report(self) -> None:
        """What a leader tells is there for all; outside elections nothing is told."""
        await report(self.database, {"lost": True})

        async def tell() -> None:
            current_term.set(Term("timers", 3, lambda: None))
            await report(self.database, {"drift": 2})

        await Deferred.fromCoroutine(tell())
        (leader,) = await leaders(self.database)
        self.assertEqual(leader.report, {"drift": 2})
        self.assertLess(leader.told_seconds, 30)

    async def test_snapshot(self) -> None:
        """A leader may read one moment of the database; that writes nothing and needs no fence."""

        async def look() -> int:
            current_term.set(Term("timers", 2, lambda: None))
            async with self.database.transaction("look", snapshot=True) as tx:
                return await tx.value("SELECT count(*) FROM thing")

        self.assertEqual(await Deferred.fromCoroutine(look()), 0)
        with self.assertRaises(psycopg2.Error):
            async with self.database.transaction("look", snapshot=True) as tx:
                await tx.run("INSERT INTO thing VALUES (1)")
