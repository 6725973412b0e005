"""The pool and transactions, on PostgreSQL."""

from __future__ import annotations

import os
import signal
import socket
import time

import psycopg2
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs

from synnefo_tx.db import connect
from synnefo_tx.db.driver import TxConnection
from synnefo_tx.db.pool import CommitUnknown, DatabaseUnavailable, UniqueViolation
from tests.support.database import DatabaseTestCase, open_database

RUNNING = """
SELECT pid FROM pg_stat_activity
WHERE state <> 'idle' AND query LIKE %(like)s AND pid <> pg_backend_pid()
"""


def stand_still(seconds: float) -> None:
    """Do nothing, as a process that is stopped."""
    time.sleep(seconds)


class PoolTests(DatabaseTestCase):
    limits = {"connections": 2, "waiting": 2, "wait_seconds": 0.5, "statement_seconds": 5}

    async def setUp(self) -> None:
        await super().setUp()
        async with self.database.transaction("make") as tx:
            await tx.run("CREATE TABLE thing (id int PRIMARY KEY, name text)")

    async def names(self) -> list[str]:
        return [row[0] for row in await self.database.read("SELECT name FROM thing ORDER BY id")]

    async def add(self, id: int, name: str) -> None:
        async with self.database.transaction("add") as tx:
            await tx.run("INSERT INTO thing VALUES (%(id)s, %(name)s)", {"id": id, "name": name})

    async def test_commit(self) -> None:
        """What a transaction wrote is there after it."""
        await self.add(1, "α")
        self.assertEqual(await self.names(), ["α"])

    async def test_rollback(self) -> None:
        """A transaction that raises leaves nothing, and its effects do not happen."""
        effects = []
        with self.assertRaises(KeyError):
            async with self.database.transaction("fails") as tx:
                await tx.run("INSERT INTO thing VALUES (1, 'a')")
                tx.after_commit(lambda: effects.append(1))
                raise KeyError
        self.assertEqual((await self.names(), effects), ([], []))

    async def test_effects_follow_commit(self) -> None:
        """Effects see the committed rows; one that fails is logged and does not stop the next."""
        seen = []

        async def look() -> None:
            seen.extend(await self.names())

        async with self.database.transaction("effects") as tx:
            await tx.run("INSERT INTO thing VALUES (1, 'a')")
            tx.after_commit(lambda: 1 / 0)
            tx.after_commit(look)
        self.assertEqual(seen, ["a"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    async def test_constraint(self) -> None:
        """A broken constraint is raised as such and the connection serves on."""
        await self.add(1, "a")
        with self.assertRaises(UniqueViolation):
            await self.add(1, "b")
        await self.add(2, "c")
        self.assertEqual(await self.names(), ["a", "c"])

    async def test_wait_is_bounded(self) -> None:
        """More callers than connections wait in order; beyond the bound they get 503 at once."""
        sleeps = [
            Deferred.fromCoroutine(self.database.read("SELECT pg_sleep(0.1)")) for _ in range(4)
        ]
        with self.assertRaises(DatabaseUnavailable):
            await self.database.read("SELECT 1")
        await gatherResults(sleeps)
        self.assertEqual(await self.database.read("SELECT 1"), [(1,)])

    async def test_wait_ends(self) -> None:
        """A caller that waited as long as allowed gets 503."""
        sleeps = [
            Deferred.fromCoroutine(self.database.read("SELECT pg_sleep(0.8)")) for _ in range(2)
        ]
        with self.assertRaises(DatabaseUnavailable):
            await self.database.read("SELECT 1")
        await gatherResults(sleeps)

    async def test_connection_killed_while_idle(self) -> None:
        """A connection that died while idle is replaced without an error."""
        (pid,) = (await self.database.read("SELECT pg_backend_pid()"))[0]
        self._kill(pid)
        self.assertNotEqual((await self.database.read("SELECT pg_backend_pid()"))[0][0], pid)
        self._kill((await self.database.read("SELECT pg_backend_pid()"))[0][0])
        await self.add(1, "a")
        self.assertEqual(await self.names(), ["a"])

    def _kill(self, pid: int) -> None:
        other = psycopg2.connect(self.url)
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 2000)", (pid,))
        other.close()

    async def test_connection_killed_in_transaction(self) -> None:
        """A connection that dies in a transaction is a 503, nothing is left, the pool goes on."""
        with self.assertRaises(DatabaseUnavailable):
            async with self.database.transaction("dies") as tx:
                await tx.run("INSERT INTO thing VALUES (1, 'a')")
                self._kill(await tx.value("SELECT pg_backend_pid()"))
                await tx.run("INSERT INTO thing VALUES (2, 'b')")
        self.flushLoggedErrors()
        self.assertEqual(await self.names(), [])
        self.assertLessEqual(self.database.open_count, 2)

    async def test_commit_without_answer(self) -> None:
        """A connection that dies before the COMMIT's answer is an outcome nobody knows."""
        with self.assertRaises(CommitUnknown):
            async with self.database.transaction("dies") as tx:
                self._kill(await tx.value("SELECT pg_backend_pid()"))
        self.assertEqual(await self.database.read("SELECT 1"), [(1,)])

    async def test_cancelled_task(self) -> None:
        """A task that is cancelled in a statement leaves no statement running and no lock."""
        task = Deferred.fromCoroutine(self._hold())
        await deferLater(reactor, 0.1)
        task.cancel()
        with self.assertRaises(CancelledError):
            await task
        for _ in range(100):
            if not await self.database.read(RUNNING, {"like": "%pg_sleep(30)%"}):
                break
            await deferLater(reactor, 0.02)
        await self.add(1, "a")
        self.assertEqual(await self.names(), ["a"])

    async def test_cancelled_while_opening(self) -> None:
        """A task that is cancelled while a connection is being opened for it leaves nothing."""
        for turns in range(6):
            database = open_database(self.url, connections=1)
            task = Deferred.fromCoroutine(database.read("SELECT 1"))
            for _ in range(turns):
                await deferLater(reactor, 0)
            task.cancel()
            with self.assertRaises(CancelledError):
                await task
            self.assertEqual(database.open_count, 0)
            self.assertEqual(await database.read("SELECT 1"), [(1,)])
            await database.close()

    async def test_mute_server(self) -> None:
        """A server that takes the connection and says nothing is given up: a 503."""
        self.patch(connect, "CONNECT_SECONDS", 0.2)
        mute = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(mute.close)
        database = open_database(f"postgresql://x@127.0.0.1:{mute.getsockname()[1]}/x")
        with self.assertRaises(DatabaseUnavailable):
            await database.read("SELECT 1")
        self.assertEqual(database.open_count, 0)

    async def _hold(self) -> None:
        async with self.database.transaction("holds") as tx:
            await tx.run("LOCK TABLE thing")
            await tx.run("SELECT pg_sleep(30) /* not the watcher */")

    async def test_slow_statement(self) -> None:
        """A statement over its limit is a 503."""
        database = open_database(self.url)
        async with database.transaction("slow") as tx:
            await tx.run("SET LOCAL statement_timeout = 50")
            with self.assertRaises(DatabaseUnavailable):
                await tx.run("SELECT pg_sleep(5)")
            await tx.run("ROLLBACK")
        await database.close()

    async def test_unreachable(self) -> None:
        """No server: 503, and the pool counts no connection."""
        database = open_database("postgresql://nobody@/none?host=/nonexistent")
        with self.assertRaises(DatabaseUnavailable):
            await database.read("SELECT 1")
        self.assertEqual(database.open_count, 0)
        await database.close()

    async def test_many_interleaved(self) -> None:
        """Hundreds of transactions share two connections without mixing their rows."""

        async def one(number: int) -> bool:
            async with self.database.transaction("one") as tx:
                return await tx.value("SELECT %(n)s::int", {"n": number}) == number

        self.database.limits = type(self.database.limits)(connections=2, waiting=1000)
        results = await gatherResults([Deferred.fromCoroutine(one(n)) for n in range(300)])
        self.assertTrue(all(results))


class SlowReadTests(DatabaseTestCase):
    async def test_once(self) -> None:
        """A read over the server's limit is a 503 after that limit, not after twice as long with
        twice the load, and its connection serves on."""
        database = open_database(self.url, statement_limit_seconds=0.3)
        self.addCleanup(lambda: Deferred.fromCoroutine(database.close()))
        async with self.database.transaction("make") as tx:
            await tx.run("CREATE SEQUENCE tries")
        before = await database.read("SELECT pg_backend_pid()")
        with self.assertRaises(DatabaseUnavailable):
            await database.read("SELECT nextval('tries'), pg_sleep(5)")
        self.assertEqual(await database.read("SELECT last_value FROM tries"), [(1,)])
        self.assertEqual(await database.read("SELECT pg_backend_pid()"), before)


class TroubleTests(DatabaseTestCase):
    async def test_full(self) -> None:
        """A server without room or with a broken disk is a 503 whose reason the log has; the
        connection serves on."""
        raising = "DO $$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '%s'; END $$"
        for code in ("53100", "53200", "58030"):
            with self.assertRaises(DatabaseUnavailable), capturedLogs() as logged:
                async with self.database.transaction("writes") as tx:
                    await tx.run(raising.replace("%s", code))
            self.assertIn("no room", str(logged))
        self.assertEqual((self.database.open_count, self.database.busy_count), (1, 0))

    async def test_standby(self) -> None:
        """A server that may only be read, as after a change of servers, is a 503."""
        with self.assertRaises(DatabaseUnavailable):
            async with self.database.transaction("writes") as tx:
                await tx.run("SET TRANSACTION READ ONLY")
                await tx.run("CREATE TABLE thing (id int)")
        self.assertEqual(await self.database.read("SELECT 1"), [(1,)])


class ConnectionTests(DatabaseTestCase):
    async def test_two_statements_at_once(self) -> None:
        """A second statement while one runs is a programming error, raised at once."""
        connection = await TxConnection(reactor).connect(self.url)
        running = connection.execute("SELECT 1 FROM pg_sleep(0.05)")
        self.assertRaises(RuntimeError, connection.execute, "SELECT 2")
        self.assertEqual((await running).rows, [(1,)])
        connection.close()

    async def test_close_ends_a_statement(self) -> None:
        """Closing a connection fails the statement in flight."""
        connection = await TxConnection(reactor).connect(self.url)
        running = connection.execute("SELECT pg_sleep(10)")
        connection.close()
        with self.assertRaises(psycopg2.InterfaceError):
            await running

    async def test_large_statement(self) -> None:
        """A statement larger than the socket's buffer is sent whole."""
        connection = await TxConnection(reactor).connect(self.url)
        text = "ä" * 3_000_000
        result = await connection.execute("SELECT length(%(text)s)", {"text": text})
        self.assertEqual(result.rows, [(3_000_000,)])
        connection.close()


class FrozenServerTests(DatabaseTestCase):
    limits = {"connections": 1, "statement_seconds": 0.2}

    async def test_frozen_backend(self) -> None:
        """A backend that is frozen costs its caller the limit and a 503, not for ever."""
        (pid,) = (await self.database.read("SELECT pg_backend_pid()"))[0]
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGCONT)
        with self.assertRaises(DatabaseUnavailable):
            await self.database.read("SELECT 1")
        self.flushLoggedErrors()


class BoundedTransactionTests(DatabaseTestCase):
    limits = {"connections": 2, "transaction_seconds": 0.2}

    async def setUp(self) -> None:
        await super().setUp()
        async with self.database.transaction("make", limit_seconds=5) as tx:
            await tx.run("CREATE TABLE thing (id int PRIMARY KEY)")

    async def count(self) -> int:
        return (await self.database.read("SELECT count(*) FROM thing"))[0][0]

    async def test_idle(self) -> None:
        """A transaction whose task waits for something else is ended while it waits."""
        with self.assertRaises(DatabaseUnavailable):
            async with self.database.transaction("idle") as tx:
                await tx.run("INSERT INTO thing VALUES (1)")
                await deferLater(reactor, 0.4)
                open_now = await self.database.read(
                    RUNNING.replace("state <> 'idle'", "state = 'idle in transaction'"),
                    {"like": "INSERT INTO thing%"},
                )
                self.assertEqual(open_now, [])
        self.assertEqual((await self.count(), self.database.busy_count), (0, 0))

    async def test_in_a_statement(self) -> None:
        """One that is in a statement is ended in it; the pool has all its places afterwards."""
        for _ in range(3):
            with self.assertRaises(DatabaseUnavailable):
                async with self.database.transaction("slow") as tx:
                    await tx.run("INSERT INTO thing VALUES (1)")
                    await tx.run("SELECT pg_sleep(5)")
        self.assertEqual(await self.count(), 0)
        await gatherResults(
            [Deferred.fromCoroutine(self.database.read("SELECT pg_sleep(0.1)")) for _ in range(4)]
        )
        self.assertEqual(self.database.open_count, 2)

    async def test_process_that_stood_still(self) -> None:
        """Nothing is committed by a process that was stopped for longer, though its timers have
        not run yet."""
        with self.assertRaises(DatabaseUnavailable):
            async with self.database.transaction("stopped") as tx:
                await tx.run("INSERT INTO thing VALUES (1)")
                stand_still(0.3)
        self.assertEqual((await self.count(), self.database.busy_count), (0, 0))

    async def test_longer_by_its_own_word(self) -> None:
        """One that says so may take longer, and one that only reads."""
        async with self.database.transaction("bulk", limit_seconds=5) as tx:
            await tx.run("INSERT INTO thing VALUES (1)")
            await deferLater(reactor, 0.3)
        async with self.database.transaction("report", snapshot=True) as tx:
            await deferLater(reactor, 0.3)
            self.assertEqual(await tx.value("SELECT count(*) FROM thing"), 1)
