"""What every kind of process does at its start, and how it says that it cannot.

Everything that can be wrong at the start (settings, port, folder, schema) ends the process with one
line that says what to do, and an exit status other than 0.
"""

from __future__ import annotations

import fcntl
import os
import resource
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from typing import IO, Any, TypeVar

from twisted.application.service import MultiService
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from synnefo_tx.db.address import verified
from synnefo_tx.db.connect import connector
from synnefo_tx.db.embedded import EmbeddedError, RunningServer, Server
from synnefo_tx.db.migrate import SchemaError
from synnefo_tx.db.pool import Database, DatabaseUnavailable, PoolLimits
from synnefo_tx.keyring.model import KeyringError
from synnefo_tx.settings import DatabaseSettings, Settings, SettingsError
from synnefo_tx.threads import Threads

T = TypeVar("T")
DESCRIPTORS = 65536


class CannotStart(Exception):
    """The process cannot start; the text says what to do."""


KNOWN = (CannotStart, SettingsError, EmbeddedError, SchemaError, DatabaseUnavailable, KeyringError)


def steady_reactor() -> Any:
    """The reactor, with a clock that nobody sets; to be called before anything waits for it.

    Twisted takes the time of day. Set back by an hour, as by a first answer of NTP, all that waits
    (limits, heartbeats, polls) would stand still for that hour; set ahead, every limit be over.
    """
    from twisted.internet import reactor

    timed: Any = reactor
    timed.seconds = time.monotonic
    return timed


class StartingService(MultiService):
    """A service whose start takes time and may fail: ``_start`` does it."""

    log = Logger()

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._starting: Deferred[None] | None = None
        self._is_given_up = False

    async def _start(self) -> None:
        raise AssertionError("each kind of process has its own start")

    def startService(self) -> None:
        allow_connections()
        super().startService()
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._failed)

    def _end_start(self) -> None:
        """Give up a start that is under way."""
        self._is_given_up = True
        if self._starting is not None and not self._starting.called:
            self._starting.cancel()

    def _failed(self, failure: Any) -> None:
        if failure.check(CancelledError) and self._is_given_up:
            return
        if failure.check(*KNOWN):
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


class OwnServer:
    """The private PostgreSQL below SYNNEFO_HOME, and the lock that makes it this process's."""

    def __init__(self, home: Path, reactor: Any, threads: Threads) -> None:
        self._home = home
        self._reactor = reactor
        self._threads = threads
        self._lock: IO[str] | None = None
        self._postgres: RunningServer | None = None

    async def start(self) -> None:
        """Start it; raises CannotStart when another process has it, or EmbeddedError."""
        self._lock = lock_home(self._home)
        server = own_server(self._home)
        await self._threads.run(server.prepare)
        self._postgres = RunningServer(server, self._reactor)
        await self._postgres.start()

    async def stop(self) -> None:
        """Stop it, then let go of the lock; harmless when it never started."""
        if self._postgres is not None:
            await self._postgres.stop()
        if self._lock is not None:
            self._lock.close()


def own_server(home: Path) -> Server:
    """The private PostgreSQL of a home, whether it runs or not."""
    return Server(home / "postgresql")


def database_url(settings: Settings) -> str:
    """The PostgreSQL URI that the settings lead to; raises SettingsError."""
    if not settings.database.url:
        return own_server(settings.home).url
    try:
        return verified(settings.database.url)
    except ValueError as error:
        raise SettingsError(f"database.url cannot be used: {error}") from None


def open_pool(reactor: Any, url: str, own: DatabaseSettings) -> Database:
    """A pool as the settings want it; nothing is connected yet."""
    limits = PoolLimits(
        connections=own.connections_max,
        waiting=own.waiting_max,
        wait_seconds=own.wait_limit_seconds,
        statement_seconds=own.statement_limit_seconds,
        transaction_seconds=own.transaction_limit_seconds,
    )
    return Database(connector(reactor, url, own), reactor, limits)


def tell(text: str, stream: IO[str] | None) -> None:
    """Say something on the terminal: twistd turns what is printed into log lines."""
    if stream is not None:
        stream.write(text + "\n")
        stream.flush()


def port_taken(host: str, port: int, variable: str) -> CannotStart:
    """The refusal of a start whose port another program has."""
    return CannotStart(
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


def allow_connections() -> None:
    """Let this process, and those it starts, have as many descriptors as the system lets it ask
    for: the usual 1024 (systemd's, a shell's) are fewer than the streams that one may serve."""
    allowed, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if highest == resource.RLIM_INFINITY else min(DESCRIPTORS, highest)
    if allowed != resource.RLIM_INFINITY and allowed < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, highest))


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
