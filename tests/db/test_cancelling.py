"""A task that is cancelled in a transaction, wherever it is, on PostgreSQL."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred

from synnefo_tx.db.driver import Parameters, TxConnection
from tests.support.database import DatabaseTestCase
from tests.support.processes import until

SLOW_COMMIT = """
CREATE TABLE thing (id int PRIMARY KEY);
CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON thing DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION linger();
"""


class CancellingTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.failing: Deferred[None] = Deferred()

    async def test_in_commit(self) -> None:
        """Cancelled in its COMMIT a task gets CancelledError as anywhere else."""
        async with self.database.transaction("make") as tx:
            await tx.run(SLOW_COMMIT)
        task = Deferred.fromCoroutine(self._insert())
        await until(self._is_committing, 10, "a COMMIT")
        task.cancel()
        with self.assertRaises(CancelledError):
            await task
        self.assertEqual(await self.database.read("SELECT 1"), [(1,)])

    async def _insert(self) -> None:
        async with self.database.transaction("insert") as tx:
            await tx.run("INSERT INTO thing VALUES (1)")

    async def _is_committing(self) -> bool:
        sql = "SELECT 1 FROM pg_stat_activity WHERE query = 'COMMIT' AND wait_event = 'PgSleep'"
        return bool(await self.database.read(sql))

    async def test_in_rollback(self) -> None:
        """Cancelled while it is rolled back for a failure, a task gets CancelledError, not the
        failure."""
        execute = TxConnection.execute

        def mute(connection: TxConnection, sql: str, parameters: Parameters | None) -> Any:
            # A server that does not answer to this.
            return Deferred() if sql == "ROLLBACK" else execute(connection, sql, parameters)

        self.patch(TxConnection, "execute", mute)
        task = Deferred.fromCoroutine(self._fail())
        await self.failing
        task.cancel()
        with self.assertRaises(CancelledError):
            await task
        self.assertEqual(await self.database.read("SELECT 1"), [(1,)])

    async def _fail(self) -> None:
        async with self.database.transaction("fails") as tx:
            await tx.run("SELECT 1")
            reactor.callLater(0, self.failing.callback, None)
            raise KeyError

    async def test_in_effect(self) -> None:
        """Cancelled while it waits for an effect of its commit, a task gets CancelledError; the
        effects after that follow all the same, and nothing is logged as failed."""
        tasks: list[Deferred[None]] = []
        followed = []

        def wait() -> Deferred[None]:
            reactor.callLater(0, tasks[0].cancel)
            return Deferred()

        async def work() -> None:
            async with self.database.transaction("effects") as tx:
                await tx.run("SELECT 1")
                tx.after_commit(wait)
                tx.after_commit(lambda: followed.append(1))

        tasks.append(Deferred.fromCoroutine(work()))
        with self.assertRaises(CancelledError):
            await tasks[0]
        self.assertEqual(followed, [1])
