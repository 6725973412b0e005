"""The database as the rest of the program sees it: transactions and single reads.

Stores are made from a Transaction, so SQL outside one cannot be written; ``Database.read`` is one
statement on its own. What must happen only if the transaction held goes through
``Transaction.after_commit``.

How things end: a COMMIT whose answer is lost raises CommitUnknown, because it may have held; a
connection lost before that raises DatabaseUnavailable and nothing held. A task that is cancelled
leaves its statement running: the pool closes the connection, and the server, which looks whether
its client is there (see ``connect``), ends the statement. The task gets CancelledError wherever it
is, in a COMMIT too, which may have held: a loop that is stopped must not take it for a failure and
go on. A task of a leader whose time is over gets Deposed (see ``fence``). A transaction that may
write and is open for too long is rolled back, and DatabaseUnavailable: others wait for its locks,
and pollers ask again since its beginning (see ``horizon``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar
from weakref import WeakSet

import psycopg2
from psycopg2 import errors
from psycopg2.extras import Json
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from synnefo_tx.db.driver import ConnectionDied, DriverConnection, Parameters, Result, Row
from synnefo_tx.db.fence import BEGIN_FENCED, Deposed, current_term
from synnefo_tx.db.hot import Hot
from synnefo_tx.db.transaction import CommitUnknown, DatabaseUnavailable, PoolLimits, Transaction

T = TypeVar("T")

DatabaseError = psycopg2.Error
"""What the database itself refused, whatever it is."""
ForeignKeyViolation = errors.ForeignKeyViolation
UniqueViolation = errors.UniqueViolation
__all__ = [
    "CommitUnknown",
    "Database",
    "DatabaseError",
    "DatabaseUnavailable",
    "ForeignKeyViolation",
    "Hot",
    "Json",
    "PoolLimits",
    "Row",
    "Transaction",
    "UniqueViolation",
    "shield",
]

SERVER_TROUBLE = ("53", "58")
"""Classes of SQLSTATE of a server that is full or broken (PostgreSQL appendix A)."""
ANSWER_WAIT_SECONDS = 2.0
"""What a server is given to say that it has ended a statement which took too long."""
SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class Database:
    """A bounded pool of connections that opens them when needed and drops the broken."""

    log = Logger()

    def __init__(
        self,
        connect: Callable[[], Awaitable[DriverConnection]],
        clock: IReactorTime,
        limits: PoolLimits,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self.limits = limits
        self._idle: list[DriverConnection] = []
        self._waiting: deque[Deferred[DriverConnection | None]] = deque()
        self._given_up: WeakSet[DriverConnection] = WeakSet()
        self.open_count = 0
        self.closed = False
        self.on_write: Callable[[str], None] | None = None
        """Called with the name of each transaction that may have written, after its commit."""

    @property
    def busy_count(self) -> int:
        """Connections in use."""
        return self.open_count - len(self._idle)

    @property
    def waiting_count(self) -> int:
        """Callers that wait for a connection."""
        return len(self._waiting)

    @asynccontextmanager
    async def transaction(
        self,
        name: str,
        *,
        snapshot: bool = False,
        limit_seconds: float | None = None,
        statement_seconds: float | None = None,
    ) -> AsyncIterator[Transaction]:
        """A transaction: committed at the end of the block, rolled back if it raises.

        With ``snapshot`` all its statements see one moment, and it may only read. Another has the
        time of the pool's limits, or ``limit_seconds``; each statement that of the pool's limits,
        or ``statement_seconds``.
        Raises DatabaseUnavailable, CommitUnknown or Deposed, see the head of the module.
        """
        connection = await self._begin(snapshot)
        run = partial(self._run, connection, seconds=statement_seconds, may_write=not snapshot)
        transaction = Transaction(name, run)
        bound = None if snapshot else self._bind(name, connection, limit_seconds)
        try:
            if statement_seconds is not None:
                await run(f"SET LOCAL statement_timeout = {statement_seconds * 1000:.0f}", None)
            yield transaction
            self._unbind(bound)
        except BaseException:
            if bound is not None and bound.active():
                bound.cancel()
            await self._rollback(connection)
            raise
        await self._commit(name, connection)
        self._release(connection)
        if self.on_write is not None and not snapshot:
            self.on_write(name)
        await transaction.follow()

    def _bind(
        self, name: str, connection: DriverConnection, limit_seconds: float | None
    ) -> IDelayedCall:
        limit = self.limits.transaction_seconds if limit_seconds is None else limit_seconds
        return self._clock.callLater(limit, self._expire_transaction, name, connection)

    def _unbind(self, bound: IDelayedCall | None) -> None:
        """Let the commit begin, which has its statement's time; not when it is too late.

        A process that was stopped meanwhile may be told of an answer before its timers are.
        """
        if bound is None:
            return
        if not bound.active() or bound.getTime() < self._clock.seconds():
            raise DatabaseUnavailable("the transaction took too long")
        bound.cancel()

    def _expire_transaction(self, name: str, connection: DriverConnection) -> None:
        self.log.error("transaction {transaction} took too long", transaction=name)
        if connection.busy:
            self._abandon(connection)
        else:
            connection.close()

    async def read(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """The rows of one statement that changes nothing, tried twice if its connection died."""
        for last in (False, True):
            connection = await self._acquire()
            try:
                result = await self._run(connection, sql, parameters)
            except BaseException as error:
                has_died = connection.closed and isinstance(error, DatabaseUnavailable)
                self._abandon(connection) if connection.busy else self._release(connection)
                # What took too long is not asked again: it would only take as long.
                if last or not has_died:
                    raise
            else:
                self._release(connection)
                return result.rows
        raise AssertionError("both tries returned or raised")

    async def close(self) -> None:
        """Refuse new work and close idle connections; those in use close when given back."""
        self.closed = True
        while self._waiting:
            self._waiting.popleft().errback(Failure(DatabaseUnavailable("shutting down")))
        for connection in self._idle:
            connection.close()
        self.open_count -= len(self._idle)
        self._idle.clear()

    async def _begin(self, snapshot: bool) -> DriverConnection:
        for last in (False, True):
            connection = await self._acquire()
            try:
                await self._run_begin(connection, snapshot)
            except DatabaseUnavailable:
                has_died = connection.closed
                self._abandon(connection) if connection.busy else self._discard(connection)
                if last or not has_died:
                    raise
            except Deposed:
                await self._rollback(connection)
                raise
            except BaseException:
                self._abandon(connection)
                raise
            else:
                return connection
        raise AssertionError("both tries returned or raised")

    async def _run_begin(self, connection: DriverConnection, snapshot: bool) -> None:
        term = current_term.get()
        if snapshot:
            await self._run(connection, "BEGIN", None)
            await self._run(connection, SNAPSHOT, None)
        elif term is None:
            await self._run(connection, "BEGIN", None)
        elif not (await self._run(connection, BEGIN_FENCED, term.key)).count:
            term.depose()
            raise Deposed(f"{term.name} has another leader than that of epoch {term.epoch}")

    async def _run(
        self,
        connection: DriverConnection,
        sql: str,
        parameters: Parameters | None,
        seconds: float | None = None,
        may_write: bool = True,
    ) -> Result:
        """Run a statement within its limit; a connection that died is DatabaseUnavailable."""
        if connection.closed or connection in self._given_up:
            raise DatabaseUnavailable("the database connection was lost")
        running = shield(connection.execute(sql, parameters))
        # The server ends what is slow by itself; this is for one that is frozen.
        limit = self.limits.statement_seconds if seconds is None else seconds
        running.addTimeout(limit + ANSWER_WAIT_SECONDS, self._clock)
        try:
            return await running
        except TimeoutError as error:
            raise DatabaseUnavailable("the database does not answer") from error
        except (*ConnectionDied, errors.ReadOnlySqlTransaction) as error:
            if connection.closed:
                raise DatabaseUnavailable("the database connection was lost") from error
            if isinstance(error, errors.QueryCanceled):
                raise DatabaseUnavailable("the database took too long") from error
            is_for_reading = may_write and isinstance(error, errors.ReadOnlySqlTransaction)
            if is_for_reading or str(error.pgcode).startswith(SERVER_TROUBLE):
                self.log.error("the database is in trouble: {error}", error=str(error).strip())
                raise DatabaseUnavailable("the database cannot do it now") from error
            raise
        except errors.FeatureNotSupported as error:
            # "cached plan must not change result type": a migration changed what was prepared.
            connection.close()
            raise DatabaseUnavailable("the schema changed under a connection") from error

    async def _commit(self, name: str, connection: DriverConnection) -> None:
        if connection.closed:
            self._discard(connection)
            raise DatabaseUnavailable("the database connection was lost before the commit")
        try:
            await self._run(connection, "COMMIT", None)
        except (DatabaseUnavailable, CancelledError) as error:
            self._abandon(connection) if connection.busy else self._discard(connection)
            self.log.error("commit of {transaction} has no answer", transaction=name)
            if isinstance(error, CancelledError):
                raise
            raise CommitUnknown("the outcome of the request is not known") from error
        except BaseException:
            # A deferred constraint refused: the server has rolled back already.
            self._release(connection)
            raise

    async def _rollback(self, connection: DriverConnection) -> None:
        if connection in self._given_up:
            return
        if connection.busy:
            self._abandon(connection)
            return
        try:
            await self._run(connection, "ROLLBACK", None)
        except BaseException as error:
            # What it would have undone is undone with the connection.
            self.log.warn("rollback failed, the connection is dropped: {error}", error=str(error))
            self._discard(connection)
            if isinstance(error, CancelledError):
                raise
        else:
            self._release(connection)

    async def _acquire(self) -> DriverConnection:
        while True:
            if self.closed:
                raise DatabaseUnavailable("the database is shutting down")
            while self._idle:
                connection = self._idle.pop()
                if not connection.closed:
                    return connection
                self.open_count -= 1
            if self.open_count < self.limits.connections:
                return await self._open()
            handed = await self._wait()
            if handed is not None:
                return handed

    async def _open(self) -> DriverConnection:
        self.open_count += 1
        try:
            return await self._connect()
        except ConnectionDied as error:
            self._lose()
            raise DatabaseUnavailable("the database cannot be reached") from error
        except BaseException:
            self._lose()
            raise

    async def _wait(self) -> DriverConnection | None:
        """Wait in line; a connection, or None when there is room to open one."""
        if len(self._waiting) >= self.limits.waiting:
            raise DatabaseUnavailable("too many requests wait for the database")
        waiting: Deferred[DriverConnection | None] = Deferred(self._forget)
        self._waiting.append(waiting)
        timeout = self._clock.callLater(self.limits.wait_seconds, self._expire, waiting)
        try:
            return await waiting
        finally:
            if timeout.active():
                timeout.cancel()

    def _expire(self, waiting: Deferred[DriverConnection | None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            waiting.errback(Failure(DatabaseUnavailable("the database is busy")))

    def _forget(self, waiting: Deferred[DriverConnection | None]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def _release(self, connection: DriverConnection) -> None:
        if connection.closed or self.closed:
            self._discard(connection)
        elif self._waiting:
            self._hand(connection)
        else:
            self._idle.append(connection)

    def _hand(self, connection: DriverConnection | None) -> None:
        """Give the first in line a connection, or leave to open one.

        In the next turn of the reactor: statements may end at once, and a long line would nest.
        """
        self._clock.callLater(0, self._deliver, self._waiting.popleft(), connection)

    def _deliver(
        self, waiting: Deferred[DriverConnection | None], connection: DriverConnection | None
    ) -> None:
        if not waiting.called:
            waiting.callback(connection)
        elif connection is not None:
            self._release(connection)
        elif self._waiting:
            self._hand(None)

    def _discard(self, connection: DriverConnection) -> None:
        connection.close()
        self._lose()

    def _lose(self) -> None:
        self.open_count -= 1
        if self._waiting:
            self._hand(None)

    def _abandon(self, connection: DriverConnection) -> None:
        """End a connection whose statement nobody waits for any more.

        Not by libpq's cancel: it waits for a connection of its own without a limit, and in psycopg2
        with the interpreter's lock, so that a server that is out of reach would stop the process.
        """
        self._given_up.add(connection)
        self._discard(connection)


def shield(running: Deferred[T]) -> Deferred[T]:
    """A Deferred that may be cancelled while ``running`` goes on."""
    outer: Deferred[T] = Deferred(lambda d: None)

    def forward(result: T | Failure) -> None:
        if not outer.called:
            if isinstance(result, Failure):
                outer.errback(result)
            else:
                outer.callback(result)

    running.addBoth(forward)
    return outer
