"""Migrations: their order, and which schemas a program accepts."""

from __future__ import annotations

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.db.migrate import (
    LOCK_KEY,
    Applied,
    Migration,
    SchemaError,
    applied_to,
    known,
    migrate,
    missing,
    ordered,
    require_current,
)
from synnefo_tx.db.pool import ANSWER_WAIT_SECONDS
from tests.support.database import DatabaseTestCase, open_database


def migration(component: str, number: int, *depends: tuple[str, int]) -> Migration:
    return Migration(component, number, "x", "SELECT 1", frozenset(depends), 0)


def applied(each: Migration) -> Applied:
    return Applied(each.component, each.number, each.checksum, each.oldest_compatible)


class OrderTests(SynchronousTestCase):
    def test_dependencies(self) -> None:
        """Each migration follows what it depends on, whatever its component is called."""
        a1, b1, a2 = migration("a", 1, ("b", 1)), migration("b", 1), migration("a", 2, ("a", 1))
        self.assertEqual(ordered([a2, a1, b1]), [b1, a1, a2])

    def test_circle(self) -> None:
        """A circle and an absent dependency are refused."""
        circle = [migration("a", 1, ("b", 1)), migration("b", 1, ("a", 1))]
        self.assertRaises(SchemaError, ordered, circle)
        self.assertRaises(SchemaError, ordered, [migration("a", 2, ("a", 1))])

    def test_changed(self) -> None:
        """A file that was changed after it was applied is refused."""
        before = migration("a", 1)
        self.assertRaises(SchemaError, missing, [evolve(before, sql="SELECT 2")], [applied(before)])

    def test_newer(self) -> None:
        """A newer schema is accepted until it says that this program is too old."""
        ours = migration("a", 1)
        newer = Applied("a", 2, "x", 0)
        self.assertEqual(missing([ours], [applied(ours), newer]), [])
        breaking = evolve(newer, oldest_compatible=2)
        self.assertRaises(SchemaError, missing, [ours], [applied(ours), breaking])


class LongMigrationTests(DatabaseTestCase):
    async def test_waits(self) -> None:
        """What takes longer than a statement of a request may is still done: waiting for another
        program that migrates, or an index of a large table."""
        hasty = open_database(self.url, statement_limit_seconds=0.2, statement_seconds=0.2)
        self.addCleanup(lambda: Deferred.fromCoroutine(hasty.close()))
        async with self.database.transaction("another") as tx:
            await tx.run("SELECT pg_advisory_xact_lock(%(key)s)", {"key": LOCK_KEY})
            waiting = Deferred.fromCoroutine(migrate(hasty))
            await deferLater(reactor, ANSWER_WAIT_SECONDS + 0.4)
        self.assertEqual(await waiting, [])
        self.assertEqual(await hasty.read("SHOW statement_timeout"), [("200ms",)])


class MigrateTests(DatabaseTestCase):
    async def test_current(self) -> None:
        """A migrated database is accepted and has nothing left to do."""
        await require_current(self.database)
        self.assertEqual(await migrate(self.database), [])
        self.assertEqual(len(await applied_to(self.database)), len(known()))

    async def test_behind(self) -> None:
        """A schema that lacks a migration is refused with the command that helps."""
        async with self.database.transaction("forget") as tx:
            await tx.run("DELETE FROM schema_migrations WHERE component = 'console'")
        with self.assertRaises(SchemaError) as caught:
            await require_current(self.database)
        self.assertIn("db-migrate", str(caught.exception))

    async def test_time(self) -> None:
        """synnefo_now() is the transaction's time."""
        rows = await self.database.read("SELECT synnefo_now() = now()")
        self.assertEqual(rows, [(True,)])
