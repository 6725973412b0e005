"""Opens pools on a PostgreSQL URI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorFDSet

from synnefo_tx.db.driver import TxConnection
from synnefo_tx.settings import DatabaseSettings


def connector(
    reactor: IReactorFDSet, url: str, settings: DatabaseSettings
) -> Callable[[], Awaitable[TxConnection]]:
    """A function that opens one connection with the session settings the program relies on."""
    limit_ms = int(settings.statement_limit_seconds * 1000)
    session = (
        f"SET statement_timeout = {limit_ms};"
        f"SET idle_in_transaction_session_timeout = {limit_ms * 3};"
        "SET TIME ZONE 'UTC'; SET jit = off; SET client_min_messages = warning"
    )

    async def connect() -> TxConnection:
        connection = await TxConnection(reactor).connect(url)
        await connection.execute(session, None)
        return connection

    return connect
