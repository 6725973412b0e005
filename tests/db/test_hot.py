"""Prepared statements, on PostgreSQL."""

from __future__ import annotations

import importlib
import pkgutil

from twisted.trial.unittest import SynchronousTestCase

import synnefo_tx
from synnefo_tx.db.hot import Hot
from tests.support.database import DatabaseTestCase

ADD = Hot("SELECT %(a)s::int + %(b)s::int - %(a)s::int, 'a%%b'")
PREPARED = "SELECT count(*) FROM pg_prepared_statements WHERE name = %(name)s"


def hot_statements() -> dict[str, Hot]:
    """All hot statements of the program, by where they stand."""
    found = {}
    for module in pkgutil.walk_packages(synnefo_tx.__path__, "synnefo_tx."):
        if module.name.rpartition(".")[2] in ("store", "documents", "parameters"):
            loaded = importlib.import_module(module.name)
            for name, value in vars(loaded).items():
                if isinstance(value, Hot):
                    found[f"{module.name}.{name}"] = value
    return found


class TextTests(SynchronousTestCase):
    def test_placeholders(self) -> None:
        """Each parameter has one number, however often it stands there."""
        self.assertTrue(ADD.prepare.endswith("SELECT $1::int + $2::int - $1::int, 'a%b'"))
        self.assertTrue(ADD.call.endswith("(%(a)s::int, %(b)s::int)"))


class HotTests(DatabaseTestCase):
    limits = {"connections": 1}

    async def test_once(self) -> None:
        """A connection prepares a statement at its first use and calls it from then on."""
        for b in (1, 2):
            rows = await self.database.read(ADD, {"a": 5, "b": b})
            self.assertEqual(rows, [(b, "a%b")])
        self.assertEqual(await self.database.read(PREPARED, {"name": ADD.name}), [(1,)])

    async def test_arrays(self) -> None:
        """Lists are given with the type that the statement wants them to have."""
        statement = Hot("SELECT count(*) FROM unnest(%(ids)s::uuid[])")
        ids = ["00000000-0000-0000-0000-000000000001"] * 2
        for given in (ids, [], ids):
            self.assertEqual(await self.database.read(statement, {"ids": given}), [(len(given),)])

    async def test_rollback(self) -> None:
        """What was prepared in a transaction that is undone can be called afterwards."""
        with self.assertRaises(KeyError):
            async with self.database.transaction("undone") as tx:
                await tx.row(ADD, {"a": 1, "b": 1})
                raise KeyError
        self.assertEqual(await self.database.read(ADD, {"a": 1, "b": 3}), [(3, "a%b")])

    async def test_schema_changes(self) -> None:
        """A migration that changes what a prepared statement gives costs readers nothing."""
        statement = Hot("SELECT * FROM thing")
        async with self.database.transaction("make") as tx:
            await tx.run("CREATE TABLE thing AS SELECT 1 AS a")
        self.assertEqual(await self.database.read(statement), [(1,)])
        async with self.database.transaction("change") as tx:
            await tx.run("ALTER TABLE thing ADD b text DEFAULT 'x'")
        self.assertEqual(await self.database.read(statement), [(1, "x")])

    async def test_all(self) -> None:
        """Every hot statement of the program can be prepared on the schema."""
        statements = hot_statements()
        self.assertGreater(len(statements), 5)
        for name, statement in statements.items():
            async with self.database.transaction(name) as tx:
                await tx.run(statement.prepare)
