"""The service of a process: database first, then what its roles ask for, in order.

Everything that can be wrong at the start (settings, port, folder, schema) ends the process with one
line that says what to do, and an exit status other than 0.
"""

from __future__ import annotations

import fcntl
import os
import sys
import uuid
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from synnefo_tx import application
from synnefo_tx.application import Application, Edges
from synnefo_tx.console import service as console
from synnefo_tx.console.certificate import tls_options
from synnefo_tx.db.connect import connector
from synnefo_tx.db.embedded import EmbeddedError, RunningServer, Server
from synnefo_tx.db.listener import Listener
from synnefo_tx.db.migrate import SchemaError, migrate, require_current
from synnefo_tx.db.pool import Database, DatabaseUnavailable, PoolLimits
from synnefo_tx.demo.content import fill
from synnefo_tx.ganeti.broker.client import AmqpBroker, from_settings
from synnefo_tx.ganeti.rapi import ClusterEndpoint
from synnefo_tx.ganeti.tls import tls_agent
from synnefo_tx.identity.users.passwords import HashingThreads
from synnefo_tx.seal import Sealer, key_file
from synnefo_tx.settings import Settings, SettingsError
from synnefo_tx.timers import Periodic

ROLES = ("api", "events", "console", "timers")
KEY_FILE = Path("keys") / "database.key"
BACKLOG = 1024
SWEEP_SECONDS = 60.0
QUOTA_SECONDS = 300.0


class CannotStart(Exception):
    """The process cannot start; the text says what to do."""


class CloudService(MultiService):
    """One process of the cloud."""

    log = Logger()

    def __init__(self, settings: Settings, roles: Collection[str], reactor: Any) -> None:
        super().__init__()
        self.settings = settings
        self.roles = frozenset(roles)
        self.app: Application | None = None
        self._reactor = reactor
        self._lock: IO[str] | None = None
        self._postgres: RunningServer | None = None
        self._url = settings.database.url
        self._hashing = HashingThreads(settings.identity, reactor)
        self._listening: IListeningPort | None = None
        self._starting: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        known = (CannotStart, SettingsError, EmbeddedError, SchemaError, DatabaseUnavailable)
        if failure.check(*known):
            text = str(failure.value)
        else:
            self.log.failure("the start failed", failure)
            text = f"the start failed: {failure.value!r}"
        tell(f"synnefo: {text}", sys.__stderr__)
        # twistd knows no exit status for a service that cannot start.
        self._reactor.addSystemEventTrigger("after", "shutdown", os._exit, 1)
        if self._reactor.running:
            self._reactor.stop()
        else:
            self._reactor.callWhenRunning(self._reactor.stop)

    async def _start(self) -> None:
        check_exposure(self.settings)
        database = await self._open_database()
        listener = Listener(
            connector(self._reactor, self._url, self.settings.database), self._reactor
        )
        sealer = Sealer(await deferToThread(key_file, self.settings.home / KEY_FILE))
        edges = Edges(
            clock=self._reactor,
            entropy=os.urandom,
            new_id=lambda: str(uuid.uuid4()),
            agent_for=self._agent_for,
            hashing=self._hashing,
            hearing=listener,
            broker=broker_of(self.settings, self._reactor),
        )
        self.app = app = application.build(self.settings, database, sealer, edges)
        listener.setServiceParent(self)
        if "api" in self.roles:
            self._listening = self._listen(app)
        if "events" in self.roles:
            app.poller.setServiceParent(self)
            if app.broker is not None:
                app.broker.consumer.setServiceParent(self)
        if "timers" in self.roles:
            for timer in timers(app, self._reactor):
                timer.setServiceParent(self)
        if "console" in self.roles:
            self._start_console(app)
        if self.settings.demo.enabled:
            await fill(app, self._reactor)
        tell(f"ready {self.settings.site_url}", sys.__stdout__)

    def _agent_for(self, endpoint: ClusterEndpoint) -> Any:
        limit = self.settings.ganeti.request_limit_seconds
        return tls_agent(self._reactor, endpoint, timeout_seconds=limit)

    async def _open_database(self) -> Database:
        own = self.settings.database
        make_home(self.settings.home)
        if not self._url:
            self._lock = lock_home(self.settings.home)
            server = Server(self.settings.home / "postgresql")
            await deferToThread(server.prepare)
            self._postgres = RunningServer(server, self._reactor)
            await self._postgres.start()
            self._url = server.url
        limits = PoolLimits(
            connections=own.connections_max,
            waiting=own.waiting_max,
            wait_seconds=own.wait_limit_seconds,
            statement_seconds=own.statement_limit_seconds,
        )
        database = Database(connector(self._reactor, self._url, own), self._reactor, limits)
        if self._postgres is not None:
            await migrate(database)
        await require_current(database)
        return database

    def _listen(self, app: Application) -> IListeningPort:
        own = self.settings.http
        try:
            if own.tls_certificate:
                tls = tls_options(Path(own.tls_certificate), Path(own.tls_key))
                port: IListeningPort = self._reactor.listenSSL(
                    own.port, app.site.site(), tls, backlog=BACKLOG, interface=own.host
                )
            else:
                port = self._reactor.listenTCP(
                    own.port, app.site.site(), backlog=BACKLOG, interface=own.host
                )
        except CannotListenError:
            raise CannotStart(_taken(own.host, own.port, "SYNNEFO_HTTP__PORT")) from None
        except (OSError, ValueError) as error:
            raise CannotStart(f"the HTTP certificate cannot be used: {error}") from None
        return port

    def _start_console(self, app: Application) -> None:
        service = console.build(
            self._reactor, self.settings, app.compute.consoles, os.urandom, datetime.now(UTC)
        )
        try:
            service.setServiceParent(self)
        except CannotListenError:
            own = self.settings.console
            raise CannotStart(_taken(own.host, own.port, "SYNNEFO_CONSOLE__PORT")) from None

    async def stopService(self) -> None:
        """Stop in the opposite order: no new requests, then timers, then the database."""
        if self._starting is not None and not self._starting.called:
            self._starting.cancel()
        if self._listening is not None:
            await maybeDeferred(self._listening.stopListening)
        await maybeDeferred(super().stopService)
        await maybeDeferred(self._hashing.stopService)
        if self.app is not None:
            if self.app.broker is not None:
                await self.app.broker.refreshes.stop()
            await self.app.database.close()
        if self._postgres is not None:
            await self._postgres.stop()
        if self._lock is not None:
            self._lock.close()


def broker_of(settings: Settings, reactor: Any) -> AmqpBroker | None:
    """The broker that settings name, if they do; raises CannotStart."""
    try:
        return from_settings(settings.broker, reactor, os.urandom)
    except (OSError, ValueError) as error:
        raise CannotStart(f"the broker cannot be used: {error}") from None


def tell(text: str, stream: IO[str] | None) -> None:
    """Say something on the terminal: twistd turns what is printed into log lines."""
    if stream is not None:
        stream.write(text + "\n")
        stream.flush()


def _taken(host: str, port: int, variable: str) -> str:
    return (
        f"port {port} on {host} is taken: stop the program that uses it, or set {variable} "
        "to another one"
    )


def check_exposure(settings: Settings) -> None:
    """Refuse to serve secrets beyond this machine unprotected; raises SettingsError."""
    hosts = {"http.host": settings.http.host, "console.host": settings.console.host}
    for name, host in hosts.items():
        if settings.demo.enabled and not _is_loopback(host):
            raise SettingsError(
                f"the demo has well-known content and listens on loopback only: {name} is {host}"
            )
    own = settings.http
    if not own.tls_certificate and not own.trusted_proxies and not _is_loopback(own.host):
        raise SettingsError(
            f"plain HTTP is not served on {own.host}: set http.tls_certificate and http.tls_key, "
            "or list the proxy that ends TLS in http.trusted_proxies"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def make_home(home: Path) -> None:
    """Make SYNNEFO_HOME; raises CannotStart when it cannot be written."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CannotStart(f"cannot make {home}: {error.strerror}; set SYNNEFO_HOME") from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise CannotStart(f"{home} cannot be written: change its owner, or set SYNNEFO_HOME")


def lock_home(home: Path) -> IO[str]:
    """Hold SYNNEFO_HOME for this process; raises CannotStart when another one does."""
    stream = (home / "lock").open("w")
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        stream.close()
        raise CannotStart(
            f"another synnefo runs in {home}: stop it, or set SYNNEFO_HOME to another folder"
        ) from None
    return stream


def timers(app: Application, clock: IReactorTime) -> list[Periodic]:
    """What a process with the role of timers does now and then; not started."""
    work: list[tuple[str, float, Callable[[], Awaitable[object]]]] = [
        (
            "statistics",
            app.settings.ganeti.stats_refresh_seconds,
            app.ganeti.backends.refresh_all,
        ),
        ("quota", QUOTA_SECONDS, lambda: reconcile_quota(app)),
        ("sweeps", SWEEP_SECONDS, lambda: sweep(app)),
    ]
    return [Periodic(name, interval, each, clock) for name, interval, each in work]


async def reconcile_quota(app: Application) -> None:
    """Compare usage with what exists and tell how many holdings differ."""
    drifts = await app.identity.quota.reconcile(app.compute.usage)
    app.gauges.drift.set(len(drifts))
    for each in drifts:
        app.poller.log.error("quota differs from what exists: {drift}", drift=each)


async def sweep(app: Application) -> None:
    """Remove what is past its time."""
    await app.compute.parameters.sweep()
    async with app.database.transaction("tickets-sweep") as tx:
        await app.compute.tickets.sweep(tx)
    async with app.database.transaction("holdings-sweep") as tx:
        await app.identity.quota.sweep(tx)
    async with app.database.transaction("tokens-sweep") as tx:
        await app.identity.tokens.sweep(tx)
        await app.identity.logins.failures.sweep(tx)
