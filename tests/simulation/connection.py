"""PostgreSQL, real and deterministic: one statement at a time in the whole world.

All controllers share one blocking connection. That is exact as long as a transaction is an atomic
action, which the owner sees to: who has begun one is alone until it ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import psycopg2
from attrs import frozen
from psycopg2 import errors
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure

from synnefo_tx.db.driver import Parameters, Result, Row
from synnefo_tx.db.migrate import migrate
from tests.simulation.gates import Gate
from tests.support.database import TestServer
from tests.support.serial import finish, serial_database

if TYPE_CHECKING:
    from tests.simulation.world import World

REPLACE_CLOCK = """
CREATE OR REPLACE FUNCTION synnefo_now() RETURNS timestamptz LANGUAGE sql STABLE
AS $$ SELECT to_timestamp(current_setting('simulation.now')::float8) $$;
CREATE OR REPLACE FUNCTION synnefo_clock() RETURNS timestamptz LANGUAGE sql VOLATILE
AS $$ SELECT synnefo_now() $$
"""
# Of a table in partitions the whole.
TABLES = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND NOT relispartition
 AND relkind IN ('r', 'p') AND relname NOT LIKE '%migrations%' ORDER BY relname
"""
SEQUENCES = "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' ORDER BY 1"
OUTBOX = "stream_changes"
"""What triggers write to, whatever is written."""
WRITES = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)")


@frozen
class Snapshot:
    """A content to come back to: the tables that have rows, and where the sequences stand."""

    schema: str
    filled: frozenset[str]
    sequences: str


class Postgres:
    """The database of a test process, with snapshots of its content.

    To restore one, only the tables that were written are emptied, and vacuumed, so that rows lie
    in the same order each time.
    """

    _made: Postgres | None = None

    def __init__(self) -> None:
        server = TestServer.get()
        server.execute("CREATE DATABASE simulation")
        url = server.server.url_of("simulation")
        database = serial_database(url)
        finish(migrate(database))
        finish(database.close())
        self.raw = psycopg2.connect(url)
        self.raw.autocommit = True
        self.now = 0.0
        self.owner: GateConnection | None = None
        self._snapshots: dict[str, Snapshot] = {}
        self._written: set[str] = set()
        self._prepared: set[str] = set()
        self._tables_written_by: dict[str, frozenset[str]] = {}
        self.run(REPLACE_CLOCK)
        self.tables = [row[0] for row in self.run(TABLES).rows]
        self._sequences = [row[0] for row in self.run(SEQUENCES).rows]
        self.save("empty")

    @classmethod
    def get(cls) -> Postgres:
        """The one of this process; made at the first use."""
        if cls._made is None:
            cls._made = cls()
        return cls._made

    def run(self, sql: str, parameters: Parameters | None = None) -> Result:
        """Run one statement now; raises psycopg2's errors."""
        if sql not in self._tables_written_by:
            self._tables_written_by[sql] = frozenset(WRITES.findall(sql))
        self._written |= self._tables_written_by[sql]
        if self._tables_written_by[sql]:
            self._written.add(OUTBOX)
        with self.raw.cursor() as cursor:
            cursor.execute(sql, parameters)
            rows = cursor.fetchall() if cursor.description is not None else []
            return Result(rows, cursor.rowcount)

    def run_at(self, seconds: float, sql: str, parameters: Parameters | None = None) -> Result:
        """The same, the database's clock showing ``seconds``; within a transaction it stands."""
        if self.owner is None and seconds != self.now:
            self.now = seconds
            self.run("SET simulation.now = %(now)s", {"now": f"{seconds:.6f}"})
        return self.run(sql, parameters)

    def run_prepared(self, name: str, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """The rows of a statement that is run often, always with the same parameters."""
        if name not in self._prepared:
            self.run(f"PREPARE {name} AS {sql}", parameters)
            self._prepared.add(name)
        return self.run(f"EXECUTE {name}").rows

    def beside(self, *tables: str) -> Any:
        """A second connection, which will write to these tables; to be closed with the world."""
        self._written |= {*tables, OUTBOX}
        return psycopg2.connect(self.raw.dsn)

    def rollback(self) -> None:
        """End whatever transaction is open."""
        self.run("ROLLBACK")
        self.owner = None

    def save(self, name: str) -> None:
        """Keep the content under a name."""
        schema = f"saved_{name}"
        self.run(f"DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}")
        filled = set()
        for table in self.tables:
            if self.run(f"SELECT EXISTS (SELECT FROM public.{table})").rows[0][0]:
                self.run(f"CREATE TABLE {schema}.{table} AS TABLE public.{table}")
                filled.add(table)
        values = []
        for sequence in self._sequences:
            last, called = self.run(f"SELECT last_value, is_called FROM {sequence}").rows[0]
            values.append(f"setval('{sequence}', {last}, {called})")
        content = Snapshot(schema, frozenset(filled), f"SELECT {', '.join(values)}")
        self._snapshots[name] = content
        self._content = content
        self._written.clear()

    def restore(self, name: str) -> None:
        """Bring the content back that was kept under a name."""
        self.rollback()
        self.now = 0.0
        wanted = self._snapshots[name]
        changed = self._written & set(self.tables)
        if wanted is not self._content:
            changed |= wanted.filled | self._content.filled
        if changed:
            self._empty(sorted(changed))
            self._fill(wanted, sorted(changed & wanted.filled))
        self.run(wanted.sequences)
        self._content = wanted
        self._written.clear()

    def _empty(self, tables: Iterable[str]) -> None:
        deletes = "; ".join(f"DELETE FROM {table}" for table in tables)
        self.run(f"SET session_replication_role = 'replica'; {deletes}")
        self.run(f"VACUUM (TRUNCATE) {', '.join(tables)}")

    def _fill(self, content: Snapshot, tables: Iterable[str]) -> None:
        inserts = "".join(
            f"INSERT INTO {each} OVERRIDING SYSTEM VALUE SELECT * FROM {content.schema}.{each}; "
            for each in tables
        )
        self.run(f"{inserts} SET session_replication_role = 'origin'")

    def abort(self) -> None:
        """Put the open transaction, if any, into the state that a failed statement leaves."""
        try:
            self.run("SELECT simulation_fault()")
        except errors.UndefinedFunction:
            return


class GateConnection:
    """One controller's connection, behind gates: the pool's ``DriverConnection``."""

    def __init__(self, world: World, controller: int) -> None:
        self._world = world
        self._postgres = world.postgres
        self._controller = controller
        self._gate: Gate | None = None
        self._waiting: Deferred[Result] | None = None
        self._dead: Deferred[Result] | None = None
        self.closed = False

    @property
    def busy(self) -> bool:
        return self._waiting is not None

    def execute(self, sql: str, parameters: Parameters | None) -> Deferred[Result]:
        """Wait at a gate, then run the statement."""
        if self.closed:
            return fail(Failure(psycopg2.InterfaceError("connection closed")))
        waiting: Deferred[Result] = Deferred()
        self._waiting = waiting
        kind = sql.lower() if sql in ("BEGIN", "COMMIT", "ROLLBACK") else "sql"
        self._gate = Gate(
            controller=self._controller,
            kind=kind,
            text=f"{sql} {self._world.shown(parameters)}" if kind == "sql" else sql,
            effect=lambda: self._run(kind, sql, parameters),
            answer=self._answer,
            refused=self._refused,
            cut=self._cut,
            is_ready=lambda: self._postgres.owner in (None, self),
        )
        self._world.wait_at(self._gate)
        return waiting

    def _run(self, kind: str, sql: str, parameters: Parameters | None) -> Any:
        try:
            result = self._postgres.run_at(self._world.clock.seconds(), sql, parameters)
        except psycopg2.Error:
            return Failure()
        finally:
            if kind in ("commit", "rollback"):
                self._postgres.owner = None
        if kind == "begin":
            self._postgres.owner = self
        return result

    def _answer(self, outcome: Any) -> None:
        waiting, self._waiting, self._gate = self._waiting, None, None
        if waiting is not None:
            waiting.callback(outcome)

    def _refused(self) -> Failure:
        if self._postgres.owner is self:
            self._postgres.abort()
        return Failure(errors.QueryCanceled("canceling statement due to statement timeout"))

    def _cut(self) -> Failure:
        self.closed = True
        if self._postgres.owner is self:
            self._postgres.rollback()
        return Failure(psycopg2.OperationalError("server closed the connection unexpectedly"))

    def close(self) -> None:
        """Close at once; a statement that waits fails with InterfaceError."""
        if not self.closed:
            self._cut()
        if self._gate is not None:
            self._world.withdraw(self._gate)
            self._answer(Failure(psycopg2.InterfaceError("connection closed")))

    def die(self) -> None:
        """The controller is gone: its transaction rolls back, and nobody is told.

        Nobody: who waited is collected one day, and must find nothing to wait for then.
        """
        self._dead = self._waiting
        self._waiting = self._gate = None
        self._cut()
