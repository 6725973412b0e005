"""A database whose statements end at once, for tests that cannot wait for a reactor.

The connection is psycopg2's blocking one behind the pool's own interface; a coroutine that only
uses such a database runs to its end in one go, which is what hypothesis needs.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar

import psycopg2
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from synnefo_tx.db.driver import Parameters, Result
from synnefo_tx.db.pool import Database, PoolLimits

T = TypeVar("T")


class SerialConnection:
    """A blocking connection with the interface of the pool's."""

    busy = False

    def __init__(self, url: str) -> None:
        self._connection = psycopg2.connect(url)
        self._connection.autocommit = True

    @property
    def closed(self) -> bool:
        return bool(self._connection.closed)

    def execute(self, sql: str, parameters: Parameters | None) -> Deferred[Result]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                rows = cursor.fetchall() if cursor.description is not None else []
                return succeed(Result(rows, cursor.rowcount))
        except psycopg2.Error:
            return fail(Failure())

    def close(self) -> None:
        self._connection.close()


def serial_database(url: str) -> Database:
    """A pool of blocking connections on ``url``."""

    async def connect() -> SerialConnection:
        return SerialConnection(url)

    return Database(connect, Clock(), PoolLimits())


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits; raises what it raises."""
    results: list[T] = []
    failures: list[Failure] = []
    Deferred.fromCoroutine(coroutine).addCallbacks(results.append, failures.append)
    if failures:
        failures[0].raiseException()
    assert results, "the coroutine waits for something"
    return results[0]
