"""Opens what a command works on: the same objects as the service's, beside it or without it."""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, Any

from twisted.internet.threads import deferToThread

from synnefo_tx import application
from synnefo_tx.application import Application, Edges
from synnefo_tx.db.connect import connector
from synnefo_tx.db.embedded import RunningServer, Server
from synnefo_tx.db.migrate import require_current
from synnefo_tx.db.pool import Database, PoolLimits
from synnefo_tx.ganeti.rapi import ClusterEndpoint
from synnefo_tx.ganeti.tls import tls_agent
from synnefo_tx.identity.users.passwords import HashingThreads
from synnefo_tx.seal import Sealer, key_file
from synnefo_tx.service import KEY_FILE, CannotStart, broker_of, lock_home, make_home
from synnefo_tx.settings import Settings

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
    hashing = HashingThreads(settings.identity, reactor)
    lock, postgres = _own_server(settings, reactor)
    try:
        if postgres is not None:
            await deferToThread(postgres.server.prepare)
            await postgres.start()
        database = _database(settings, reactor)
        try:
            if needs_schema:
                await require_current(database)
            yield await _build(settings, database, hashing, reactor)
        finally:
            await database.close()
    finally:
        hashing.stopService()
        if postgres is not None:
            await postgres.stop()
        if lock is not None:
            lock.close()


def _own_server(settings: Settings, reactor: Any) -> tuple[IO[str] | None, RunningServer | None]:
    if settings.database.url:
        return None, None
    try:
        lock = lock_home(settings.home)
    except CannotStart:
        # The service runs, and PostgreSQL with it.
        return None, None
    return lock, RunningServer(_server(settings), reactor)


def _server(settings: Settings) -> Server:
    return Server(settings.home / "postgresql")


def _database(settings: Settings, reactor: Any) -> Database:
    own = settings.database
    url = own.url or _server(settings).url
    limits = PoolLimits(
        connections=min(own.connections_max, CONNECTIONS_MAX),
        waiting=own.waiting_max,
        wait_seconds=own.wait_limit_seconds,
        statement_seconds=own.statement_limit_seconds,
    )
    return Database(connector(reactor, url, own), reactor, limits)


async def _build(
    settings: Settings, database: Database, hashing: HashingThreads, reactor: Any
) -> Context:
    sealer = Sealer(await deferToThread(key_file, settings.home / KEY_FILE))

    def agent_for(endpoint: ClusterEndpoint) -> Any:
        limit = settings.ganeti.request_limit_seconds
        return tls_agent(reactor, endpoint, timeout_seconds=limit)

    edges = Edges(
        clock=reactor,
        entropy=os.urandom,
        new_id=lambda: str(uuid.uuid4()),
        agent_for=agent_for,
        hashing=hashing,
        broker=broker_of(settings, reactor),
    )
    return application.build(settings, database, sealer, edges)
