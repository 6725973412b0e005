"""Opens connections on a PostgreSQL URI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import cast

import psycopg2
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorFDSet, IReactorTime

from synnefo_tx.db.driver import TxConnection
from synnefo_tx.db.pool import shield
from synnefo_tx.settings import DatabaseSettings

Connect = Callable[[], Awaitable[TxConnection]]

CONNECT_SECONDS = 10.0
CLIENT_LOOK_SECONDS = 0.25
"""How often a server that works looks whether its client is still there (PostgreSQL 14)."""
ELECTION_STATEMENT_SECONDS = 4.0
ELECTION_LOCK_SECONDS = 1.0


def connector(reactor: IReactorFDSet, url: str, settings: DatabaseSettings) -> Connect:
    """A function that opens one connection with the session settings the program relies on."""
    return _opener(
        reactor,
        url,
        {
            "statement_timeout": settings.statement_limit_seconds,
            # A process that is paused in a transaction must not keep its locks.
            "idle_in_transaction_session_timeout": settings.transaction_idle_limit_seconds,
            # Whose task was cancelled, or whose process was killed, waits for no answer.
            "client_connection_check_interval": CLIENT_LOOK_SECONDS,
        },
        "SET TIME ZONE 'UTC'; SET jit = off; SET client_min_messages = warning",
    )


def election_connector(reactor: IReactorFDSet, url: str, settings: DatabaseSettings) -> Connect:
    """A function that opens a connection for elections (PostgreSQL 14 or newer).

    PostgreSQL itself ends the session, and with it its locks, when the process says nothing for
    ``leader_silence_seconds``.
    """
    return _opener(
        reactor,
        url,
        {
            "idle_session_timeout": settings.leader_silence_seconds,
            "statement_timeout": ELECTION_STATEMENT_SECONDS,
            "lock_timeout": ELECTION_LOCK_SECONDS,
        },
        "SET client_min_messages = error",
    )


def _opener(
    reactor: IReactorFDSet, url: str, limits_seconds: dict[str, float], further: str
) -> Connect:
    limits = [f"SET {name} = {int(value * 1000)}" for name, value in limits_seconds.items()]
    session = "; ".join([*limits, further])

    async def connect() -> TxConnection:
        connection = TxConnection(reactor)
        opening = shield(Deferred.fromCoroutine(_open(connection, url, session)))
        opening.addTimeout(CONNECT_SECONDS, cast(IReactorTime, reactor))
        try:
            return await opening
        except BaseException as error:
            # Nothing in the driver may be cancelled; closing ends what goes on in it.
            connection.close()
            if isinstance(error, TimeoutError):
                raise psycopg2.OperationalError("PostgreSQL does not answer") from error
            raise

    return connect


async def _open(connection: TxConnection, url: str, session: str) -> TxConnection:
    await connection.connect(url)
    await connection.execute(session, None)
    return connection
