"""One PostgreSQL connection: txpostgres with a reader that stays registered.

txpostgres adds and removes the reader for every query; here one descriptor, on a duplicate of the
socket, stays in the reactor, which saves a third of a request's time. The duplicate matters: libpq
may close its own descriptor while the reactor still watches it, and the number may be reused.

Nobody cancels a Deferred of this module: txpostgres would send a cancel and leave the connection in
the middle of an answer. What must end early is ended by the pool (see ``pool``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import psycopg2
from attrs import frozen
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFDSet, IReadWriteDescriptor
from twisted.python.failure import Failure
from txpostgres import txpostgres
from zope.interface import implementer

from synnefo_tx.db.hot import Hot

Parameters = Mapping[str, Any]
Row = tuple[Any, ...]

ConnectionDied = (psycopg2.OperationalError, psycopg2.InterfaceError)


@frozen
class Result:
    """What a statement gave: its rows (none for a command) and the count of rows it touched."""

    rows: list[Row]
    count: int


class DriverConnection(Protocol):
    """What the pool needs of a connection; the simulator has its own."""

    @property
    def closed(self) -> bool: ...

    @property
    def busy(self) -> bool: ...

    def execute(self, sql: str, parameters: Parameters | None) -> Deferred[Result]: ...

    def close(self) -> None: ...


@implementer(IReadWriteDescriptor)
class _Socket:
    """The reactor's view of a connection: a duplicate descriptor, for reading and writing."""

    def __init__(self, connection: TxConnection, descriptor: int) -> None:
        self._connection = connection
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def logPrefix(self) -> str:
        return "postgresql"

    def doRead(self) -> None:
        self._connection.advance()

    def doWrite(self) -> None:
        self._connection.reactor.removeWriter(self)
        self._connection.advance()

    def connectionLost(self, reason: Failure) -> None:
        self._connection.advance()

    def release(self) -> None:
        """Close the duplicate; safe to repeat."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class _Cursor(txpostgres.Cursor):
    """A cursor that leaves waiting for the socket to its connection."""

    _pollingD: Deferred[object] | None

    def continuePolling(self, swallowErrors: bool = False) -> None:
        self._connection.advance()

    def _handleCancellation(self, failure: Failure) -> Failure:
        # A statement over its limit is the server's doing, not a cancelled task.
        return failure

    def finish(self, failure: Failure | None) -> None:
        """Fire the Deferred that ``execute`` gave."""
        waiting, self._pollingD = self._pollingD, None
        if waiting is not None:
            if failure is None:
                waiting.callback(self)
            else:
                waiting.errback(failure)


class TxConnection(txpostgres.Connection):
    """A txpostgres connection whose reader stays registered; see the head of the module."""

    cursorFactory = _Cursor
    _pollingD: Deferred[object] | None

    def __init__(self, reactor: IReactorFDSet) -> None:
        super().__init__(reactor=reactor)
        self._running: _Cursor | None = None
        self._socket: _Socket | None = None
        self._prepared: set[str] = set()
        self.on_notify: Callable[[str, str], None] | None = None

    @property
    def closed(self) -> bool:
        return self._connection is None or bool(self._connection.closed)

    @property
    def busy(self) -> bool:
        return self._running is not None

    def connect(self, dsn: str) -> Deferred[TxConnection]:
        """Open the connection; fails with psycopg2's errors."""
        opened: Deferred[TxConnection] = super().connect(dsn)
        return opened.addCallback(self._keep_reader)

    def _keep_reader(self, _: object) -> TxConnection:
        self.reactor.removeReader(self)
        self._socket = _Socket(self, os.dup(self._connection.fileno()))
        self.reactor.addReader(self._socket)
        return self

    def execute(self, sql: str, parameters: Parameters | None = None) -> Deferred[Result]:
        """Run one statement; its Deferred must not be cancelled."""
        if self.busy:
            raise RuntimeError("a statement is running on this connection")
        if isinstance(sql, Hot):
            if sql.name not in self._prepared:
                return self._send(sql.prepare, None).addCallback(self._call, sql, parameters)
            return self._send(sql.call, parameters)
        return self._send(sql, parameters)

    def _send(self, sql: str, parameters: Parameters | None) -> Deferred[Result]:
        running: Deferred[_Cursor] = self.cursor().execute(sql, parameters)
        return running.addCallback(_result)

    def _call(self, _: Result, sql: Hot, parameters: Parameters | None) -> Deferred[Result]:
        # A prepared statement outlives the rollback of the transaction it was prepared in.
        self._prepared.add(sql.name)
        return self._send(sql.call, parameters)

    def cursorRunning(self, cursor: _Cursor) -> None:
        self._running = cursor

    def cursorFinished(self, cursor: _Cursor) -> None:
        self._running = None

    def advance(self) -> None:
        """Move the statement in flight forward, or notice that an idle connection died."""
        if self.closed:
            self._end(Failure(psycopg2.InterfaceError("connection closed")))
            return
        try:
            state = self._connection.poll()
        except Exception:
            failure = Failure()
            if self._connection.closed:
                self._release()
            self._end(failure)
            return
        if state == POLL_OK:
            # First what was heard: the end of a statement says that all before it was.
            self.checkForNotifies()
            self._end(None)
        elif state == POLL_WRITE:
            self.reactor.addWriter(self._socket)
        elif state != POLL_READ:
            self._end(Failure(psycopg2.OperationalError(f"unexpected poll state {state}")))

    def checkForNotifies(self) -> None:
        """Hand on what was heard, as ``on_notify(channel, payload)``."""
        heard = self._connection.notifies[:]
        if heard:
            del self._connection.notifies[:]
            for each in heard:
                if self.on_notify is not None:
                    self.on_notify(each.channel, each.payload)

    def _end(self, failure: Failure | None) -> None:
        running = self._running
        if running is not None:
            running.finish(failure)

    def close(self) -> None:
        """Close at once; what is in flight, the opening too, fails with InterfaceError."""
        self._release()
        closed = Failure(psycopg2.InterfaceError("connection closed"))
        if not self.closed:
            self.reactor.removeReader(self)
            self.reactor.removeWriter(self)
            self._connection.close()
        opening, self._pollingD = self._pollingD, None
        if opening is not None:
            opening.errback(closed)
        self._end(closed)

    def _release(self) -> None:
        if self._socket is not None:
            self.reactor.removeReader(self._socket)
            self.reactor.removeWriter(self._socket)
            self._socket.release()
            self._socket = None


def _result(cursor: Any) -> Result:
    rows = cursor.fetchall() if cursor.description is not None else []
    return Result(rows, cursor.rowcount)
