"""The service of a process: database first, then what its roles ask for, in order.

A process is alone (``twistd synnefo``), or one of several below a supervisor, from which it
inherits the sockets that it accepts on; then database, schema, keys and demo are the supervisor's.
"""

from __future__ import annotations

import os
import socket
import sys
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import Factory, evolve, frozen
from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.protocols.tls import TLSMemoryBIOFactory

from synnefo_tx import application
from synnefo_tx.application import Application, Edges
from synnefo_tx.application.keyring import open_keyring
from synnefo_tx.console import service as console
from synnefo_tx.console.certificate import tls_options
from synnefo_tx.db.connect import connector, election_connector
from synnefo_tx.db.election import Elections
from synnefo_tx.db.electorate import Unopposed
from synnefo_tx.db.leaders import report
from synnefo_tx.db.listener import Listener
from synnefo_tx.db.migrate import migrate, require_current
from synnefo_tx.db.sweeping import sweep_all
from synnefo_tx.demo.content import fill
from synnefo_tx.ganeti.broker.client import AmqpBroker, from_settings
from synnefo_tx.ganeti.rapi import ClusterEndpoint
from synnefo_tx.ganeti.tls import tls_agent
from synnefo_tx.mail.carriers import carrier_of
from synnefo_tx.rest.channel import ApiFactory, adopt
from synnefo_tx.settings import Settings
from synnefo_tx.starting import (
    CannotStart,
    OwnServer,
    StartingService,
    check_exposure,
    database_url,
    make_home,
    open_pool,
    port_taken,
    tell,
)
from synnefo_tx.threads import ThreadPools, ThreadService
from synnefo_tx.timers import ElectedTimers, Periodic

ROLES = ("api", "events", "console", "timers")
ELECTED_ROLES = frozenset({"api", "events", "timers"})
NUMBERING_ROLES = frozenset({"api", "timers"})
BACKLOG = 1024
SWEEP_SECONDS = 60.0
JOURNAL_SECONDS = 3600.0
QUOTA_SECONDS = 300.0
GAUGES_SECONDS = 5.0


@frozen
class Inherited:
    """What a process has from its supervisor: listening sockets by role (descriptors), whom to
    tell that it serves and what was built, and the folder of everybody's metrics."""

    ready: Callable[[Application], None]
    sockets: Mapping[str, int] = Factory(dict)
    metrics_folder: Path | None = None


class CloudService(StartingService):
    """One process of the cloud."""

    def __init__(
        self,
        settings: Settings,
        roles: Collection[str],
        reactor: Any,
        inherited: Inherited | None = None,
    ) -> None:
        super().__init__(reactor)
        self.settings = settings
        self.roles = frozenset(roles)
        self.app: Application | None = None
        self._inherited = inherited
        self._server: OwnServer | None = None
        self._threads = ThreadService(settings.threads, reactor)
        self._elections: Elections | None = None
        self._factory: ApiFactory | None = None
        self._listening: IListeningPort | None = None

    async def _start(self) -> None:
        check_exposure(self.settings)
        self.app = app = await self._build()
        if "api" in self.roles:
            self._factory = app.site.site()
            self._listening = self._listen(self._factory)
        if "events" in self.roles:
            app.poller.setServiceParent(self)
            if app.broker is not None:
                app.broker.consumer.setServiceParent(self)
        if "timers" in self.roles and self._elections is not None:
            work = timers(app, self._reactor)
            ElectedTimers("timers", work, self._elections).setServiceParent(self)
        app.changes.announcer.setServiceParent(self)
        if self.roles & NUMBERING_ROLES:
            app.changes.sequencer.setServiceParent(self)
        if self._elections is not None:
            self._elections.setServiceParent(self)
        if "console" in self.roles:
            self._start_console(app)
        if self._inherited is not None:
            clock = self._reactor
            refresh = Periodic(
                "gauges",
                GAUGES_SECONDS,
                lambda: app.operation.gauges.refresh(clock.seconds()),
                clock,
            )
            refresh.setServiceParent(self)
            self._inherited.ready(app)
            return
        if self.settings.demo.enabled:
            await fill(app, self._reactor)
        tell(f"ready {self.settings.site_url}", sys.__stdout__)

    async def _build(self) -> Application:
        threads = self._threads.pools
        make_home(self.settings.home)
        if self._inherited is None and not self.settings.database.url:
            self._server = OwnServer(self.settings.home, self._reactor, threads.files)
            await self._server.start()
        url = database_url(self.settings)
        database = open_pool(self._reactor, url, self.settings.database)
        if self._server is not None:
            await migrate(database)
        await require_current(database)
        is_child = self._inherited is not None
        keyring = await open_keyring(self.settings, database, threads.files, is_child=is_child)
        if self.roles & ELECTED_ROLES:
            self._elections = elections(self._reactor, url, self.settings)
        listener = Listener(connector(self._reactor, url, self.settings.database), self._reactor)
        edges = evolve(
            edges_of(self._reactor, self.settings, threads),
            electorate=self._elections or Unopposed(),
            hearing=listener,
            metrics_folder=self._inherited.metrics_folder if self._inherited else None,
        )
        app = application.build(self.settings, database, keyring, edges)
        listener.setServiceParent(self)
        return app

    def _listen(self, factory: ApiFactory) -> IListeningPort:
        own = self.settings.http
        wrapped: Any = factory
        if own.tls_certificate:
            try:
                options = tls_options(Path(own.tls_certificate), Path(own.tls_key))
            except (OSError, ValueError) as error:
                raise CannotStart(f"the HTTP certificate cannot be used: {error}") from None
            wrapped = TLSMemoryBIOFactory(options, False, factory)
        if self._inherited is not None:
            return adopt(self._reactor, self._inherited.sockets["api"], wrapped)
        try:
            port: IListeningPort = self._reactor.listenTCP(
                own.port, wrapped, backlog=BACKLOG, interface=own.host
            )
        except CannotListenError:
            raise port_taken(own.host, own.port, "SYNNEFO_HTTP__PORT") from None
        except OSError as error:
            raise CannotStart(f"cannot listen on {own.host}: {error}") from None
        return port

    def _start_console(self, app: Application) -> None:
        inherited = self._inherited.sockets.get("console") if self._inherited else None
        service = console.build(
            self._reactor,
            self.settings,
            app.console.consoles,
            os.urandom,
            datetime.now(UTC),
            inherited,
        )
        try:
            service.setServiceParent(self)
        except CannotListenError:
            own = self.settings.console
            raise port_taken(own.host, own.port, "SYNNEFO_CONSOLE__PORT") from None

    async def stopService(self) -> None:
        """Stop in the opposite order: no new requests, those that run to their end, then pollers,
        timers and consoles, then the database."""
        self._end_start()
        if self._listening is not None:
            await maybeDeferred(self._listening.stopListening)
        if self._factory is not None:
            await self._factory.drain(self._reactor, self.settings.http.drain_limit_seconds)
        if self.app is not None:
            await self.app.changes.streams.ended()
        await maybeDeferred(super().stopService)
        if self.app is not None:
            if self.app.broker is not None:
                await self.app.broker.refreshes.stop()
            await self.app.database.close()
        if self._server is not None:
            await self._server.stop()
        await maybeDeferred(self._threads.stopService)


def elections(reactor: Any, url: str, settings: Settings) -> Elections:
    """The elections of this process, on a connection of their own."""
    own = settings.database
    holder = f"{socket.gethostname()}:{os.getpid()}"
    connect = election_connector(reactor, url, own)
    return Elections(connect, reactor, holder, own.leader_silence_seconds)


def broker_of(settings: Settings, reactor: Any) -> AmqpBroker | None:
    """The broker that settings name, if they do; raises CannotStart."""
    try:
        return from_settings(settings.broker, reactor, os.urandom)
    except (OSError, ValueError) as error:
        raise CannotStart(f"the broker cannot be used: {error}") from None


def edges_of(reactor: Any, settings: Settings, threads: ThreadPools) -> Edges:
    """The world as it is, for a process that neither listens nor is elected."""

    def agent_for(endpoint: ClusterEndpoint) -> Any:
        limit = settings.ganeti.request_limit_seconds
        return tls_agent(reactor, endpoint, timeout_seconds=limit)

    return Edges(
        clock=reactor,
        entropy=os.urandom,
        new_id=lambda: str(uuid.uuid4()),
        agent_for=agent_for,
        threads=threads,
        broker=broker_of(settings, reactor),
        carrier=carrier_of(settings.home, settings.mail, reactor, threads.files),
    )


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
        ("journal", JOURNAL_SECONDS, app.journal.keep_partitions),
        ("mail", app.settings.mail.interval_seconds, app.mails.deliver),
    ]
    return [Periodic(name, interval, each, clock) for name, interval, each in work]


async def reconcile_quota(app: Application) -> int:
    """Compare usage with what exists, and tell how many holdings differ."""
    drifts = await app.identity.quota.reconcile(app.compute.usage)
    await report(app.database, {"drift": len(drifts)})
    for each in drifts:
        app.poller.log.error("quota differs from what exists: {drift}", drift=each)
    return len(drifts)


async def sweep(app: Application) -> None:
    """Remove what is past its time."""
    identity = app.identity
    await sweep_all(
        app.database,
        {
            "replies": app.doors.kept.sweep,
            "parameters": app.compute.parameters.sweep,
            "request-misses": app.compute.misses.sweep,
            "changes": app.changes.streams.sweep,
            "tickets": app.console.tickets.sweep,
            "places": app.console.places.sweep,
            "holdings": identity.quota.sweep,
            "tokens": identity.tokens.sweep,
            "sessions": identity.sessions.sweep,
            "login-failures": identity.logins.failures.sweep,
            "mails": app.mails.sweep,
        },
    )
