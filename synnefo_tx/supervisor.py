"""``twistd synnefo --workers N``: the process above the others.

It opens the sockets, once, and owns the private PostgreSQL; N children accept on the API's socket,
one more has the other roles. It serves nobody itself, so little can happen to it. A child that ends
is started again; when this process ends, however it does, all children end.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from prometheus_client.multiprocess import mark_process_dead
from twisted.internet.defer import (
    Deferred,
    DeferredList,
    TimeoutError,
    gatherResults,
    maybeDeferred,
)
from twisted.internet.task import LoopingCall, deferLater

from synnefo_tx import application
from synnefo_tx.application.keyring import open_keyring
from synnefo_tx.children import BEAT_SECONDS, Child, ChildEnded, Command
from synnefo_tx.db.migrate import migrate, require_current
from synnefo_tx.db.pool import Database
from synnefo_tx.demo.content import fill
from synnefo_tx.rest.metrics import FOLDER_VARIABLE
from synnefo_tx.service import BACKLOG, edges_of
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
from synnefo_tx.threads import ThreadService

STOP_SLACK_SECONDS = 10.0
# After a supervisor that was killed its children hold the port until they have seen it.
PORT_LIMIT_SECONDS = 5.0
PORT_LOOK_SECONDS = 0.2
# What PostgreSQL keeps for its own and for snf-manage.
OTHER_CONNECTIONS = 15
OWN_SERVER_CONNECTIONS = 100


class Supervisor(StartingService):
    """Starts the processes of a service and looks after them.

    ``child_arguments`` begin the command line of each: the program and where it logs.
    """

    def __init__(
        self,
        settings: Settings,
        roles: Collection[str],
        workers: int,
        child_arguments: Sequence[str],
        reactor: Any,
    ) -> None:
        super().__init__(reactor)
        self.settings = settings
        self.roles = frozenset(roles)
        self.workers = workers
        self.children: list[Child] = []
        self._child_arguments = child_arguments
        self._server: OwnServer | None = None
        self._sockets: dict[str, socket.socket] = {}
        self._database: Database | None = None
        self._threads = ThreadService(settings.threads, reactor)
        self._telling = LoopingCall(self._tell_children)
        self._telling.clock = reactor
        self._told: Any = None
        self._rolling: Deferred[None] | None = None

    async def _start(self) -> None:
        check_exposure(self.settings)
        self._check_connections()
        make_home(self.settings.home)
        http, console = self.settings.http, self.settings.console
        await self._listen("api", http.host, http.port, "SYNNEFO_HTTP__PORT")
        if "console" in self.roles:
            await self._listen("console", console.host, console.port, "SYNNEFO_CONSOLE__PORT")
        self._database = await self._open_database()
        files = self._threads.pools.files
        await open_keyring(self.settings, self._database, files)
        folder = await files.run(self._metrics_folder)
        self.children = self._make_children(folder)
        await self._start_children()
        self._telling.start(BEAT_SECONDS)
        if self.settings.demo.enabled:
            await self._fill()
        await self._database.close()
        signal.signal(signal.SIGHUP, self._asked_to_roll)
        tell(f"ready {self.settings.site_url}", sys.__stdout__)

    def _check_connections(self) -> None:
        own = self.settings.database
        wanted = (self.workers + 1) * (own.connections_max + 2) + OTHER_CONNECTIONS
        if not own.url and wanted > OWN_SERVER_CONNECTIONS:
            raise CannotStart(
                f"{self.workers} workers want {wanted} connections and the private PostgreSQL has "
                f"{OWN_SERVER_CONNECTIONS}: lower SYNNEFO_DATABASE__CONNECTIONS_MAX, or set "
                "SYNNEFO_DATABASE__URL"
            )

    async def _listen(self, role: str, host: str, port: int, variable: str) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        deadline = self._reactor.seconds() + PORT_LIMIT_SECONDS
        while role not in self._sockets:
            try:
                listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise CannotStart(f"cannot listen on {host}:{port}: {error}") from None
                if self._reactor.seconds() > deadline:
                    raise port_taken(host, port, variable) from None
                await deferLater(self._reactor, PORT_LOOK_SECONDS)
            else:
                listening.setblocking(False)
                self._sockets[role] = listening

    async def _open_database(self) -> Database:
        if not self.settings.database.url:
            self._server = OwnServer(self.settings.home, self._reactor, self._threads.pools.files)
            await self._server.start()
        url = database_url(self.settings)
        database = open_pool(self._reactor, url, self.settings.database)
        if self._server is not None:
            await migrate(database)
        await require_current(database)
        return database

    def _metrics_folder(self) -> Path:
        """An empty folder for all children's counts: theirs alone, by the port that is ours."""
        port = self._sockets["api"].getsockname()[1]
        folder = self.settings.home / "run" / f"metrics-{port}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, mode=0o700)
        return folder

    def _make_children(self, folder: Path) -> list[Child]:
        others = sorted(self.roles - {"api"})
        named = [(f"api-{number}", ["api"]) for number in range(1, self.workers + 1)]
        if others:
            named.append(("others", others))
        environ = {
            **os.environ,
            "SYNNEFO_HOME": str(self.settings.home),
            FOLDER_VARIABLE: str(folder),
        }

        def died(pid: int) -> None:
            mark_process_dead(pid, str(folder))

        made = []
        for name, roles in named:
            options = [word for role in roles for word in ("--role", role)]
            arguments = [*self._child_arguments, "--name", name, *options]
            sockets = {r: self._sockets[r].fileno() for r in roles if r in self._sockets}
            command = Command(arguments, environ, sockets)
            made.append(Child(name, command, self._reactor, self._tell_children, died))
        return made

    async def _start_children(self) -> None:
        starting = [Deferred.fromCoroutine(each.start()) for each in self.children]
        try:
            await gatherResults(starting, consumeErrors=True)
        except Exception as error:
            cause = getattr(error, "subFailure", None)
            text = cause.getErrorMessage() if cause is not None else str(error)
            raise CannotStart(f"{text}; what it wrote above says why") from None

    async def _fill(self) -> None:
        assert self._database is not None
        threads = self._threads.pools
        keyring = await open_keyring(self.settings, self._database, threads.files)
        edges = edges_of(self._reactor, self.settings, threads)
        app = application.build(self.settings, self._database, keyring, edges)
        await fill(app, self._reactor)

    def _tell_children(self) -> None:
        """Tell all children how all fare, if that has changed."""
        document = [each.document for each in self.children]
        if document != self._told:
            self._told = document
            for each in self.children:
                each.tell(document)

    # One after the other.

    def _asked_to_roll(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self.roll)

    def roll(self) -> None:
        """Start all children anew, one after the other; what they serve is served throughout."""
        if self._rolling is None and self.running:
            self._rolling = Deferred.fromCoroutine(self._roll())
            self._rolling.addErrback(lambda f: self.log.failure("the rolling restart failed", f))
            self._rolling.addBoth(self._rolled)

    async def _roll(self) -> None:
        for child in self.children:
            await child.stop(self._stop_seconds)
            if not self.running:
                return
            try:
                await child.start_again()
            except (ChildEnded, TimeoutError) as error:
                self.log.error("the rolling restart stops: {error}", error=str(error))
                return

    def _rolled(self, result: object) -> None:
        self._rolling = None
        self.log.info("the rolling restart has ended")

    # The end.

    @property
    def _stop_seconds(self) -> float:
        return self.settings.http.drain_limit_seconds + STOP_SLACK_SECONDS

    async def stopService(self) -> None:
        """Stop the children, which answer what was asked; then the sockets, then the database."""
        self._end_start()
        await maybeDeferred(super().stopService)
        if self._telling.running:
            self._telling.stop()
        limit = self._stop_seconds
        await DeferredList([Deferred.fromCoroutine(each.stop(limit)) for each in self.children])
        for listening in self._sockets.values():
            listening.close()
        await maybeDeferred(self._threads.stopService)
        if self._database is not None:
            await self._database.close()
        if self._server is not None:
            await self._server.stop()
