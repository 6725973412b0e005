"""Opens what a command works on: the same objects as the service's, beside it or without it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any

from attrs import evolve

from synnefo_tx import application
from synnefo_tx.application import Application
from synnefo_tx.application.keyring import open_keyring
from synnefo_tx.db.embedded import RunningServer
from synnefo_tx.db.migrate import require_current
from synnefo_tx.db.pool import Database
from synnefo_tx.service import edges_of
from synnefo_tx.settings import Settings
from synnefo_tx.starting import (
    CannotStart,
    database_url,
    lock_home,
    make_home,
    open_pool,
    own_server,
)
from synnefo_tx.threads import ThreadPools, ThreadService

CONNECTIONS_MAX = 4

Context = Application
"""What commands are given; they need not know how it is built."""


@asynccontextmanager
async def opened(settings: Settings, reactor: Any, *, needs_schema: bool) -> AsyncIterator[Context]:
    """The application on the service's database.

    A private PostgreSQL whose service is not running is started for as long as it takes. Raises
    SettingsError, EmbeddedError, SchemaError, CannotStart or DatabaseUnavailable.
    """
    make_home(settings.home)
    threads = ThreadService(settings.threads, reactor)
    lock, postgres = _own_server(settings, reactor)
    try:
        if postgres is not None:
            await threads.pools.files.run(postgres.server.prepare)
            await postgres.start()
        own = settings.database
        own = evolve(own, connections_max=min(own.connections_max, CONNECTIONS_MAX))
        database = open_pool(reactor, database_url(settings), own)
        try:
            if needs_schema:
                await require_current(database)
            yield await _build(settings, database, threads.pools, reactor)
        finally:
            await database.close()
    finally:
        if postgres is not None:
            await postgres.stop()
        if lock is not None:
            lock.close()
        threads.stopService()


def _own_server(settings: Settings, reactor: Any) -> tuple[IO[str] | None, RunningServer | None]:
    if settings.database.url:
        return None, None
    try:
        lock = lock_home(settings.home)
    except CannotStart:
        # The service runs, and PostgreSQL with it.
        return None, None
    return lock, RunningServer(own_server(settings.home), reactor)


async def _build(
    settings: Settings, database: Database, threads: ThreadPools, reactor: Any
) -> Context:
    keyring = await open_keyring(settings, database, threads.files)
    return application.build(settings, database, keyring, edges_of(reactor, settings, threads))
