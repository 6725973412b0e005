"""``twistd synnefo-worker``: one process below a supervisor, started by it and by nobody else.

It accepts on the sockets that it inherited, says on a pipe that it serves, and ends when standard
input ends: then the supervisor is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.protocol import connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from synnefo_tx import settings
from synnefo_tx.application import Application
from synnefo_tx.children import (
    BEAT,
    BEAT_SECONDS,
    READY,
    REPORT_DESCRIPTOR,
    SOCKET_DESCRIPTORS,
)
from synnefo_tx.operation.health import Unwell
from synnefo_tx.rest.metrics import FOLDER_VARIABLE, Metrics
from synnefo_tx.service import ROLES, CloudService, Inherited
from synnefo_tx.settings import Settings
from synnefo_tx.starting import steady_reactor

# Beyond the time for running requests; then the kernel ends what does not end by itself.
END_SLACK_SECONDS = 20


class Peers:
    """How all processes of the service fare, as the supervisor tells."""

    def __init__(self) -> None:
        self._documents: list[dict[str, Any]] = []

    def told(self, documents: list[dict[str, Any]]) -> None:
        """The supervisor's news."""
        self._documents = documents

    async def health(self) -> str:
        """How many serve; raises Unwell when one has ended by itself or says nothing."""
        serving = sum(each["state"] == "serving" for each in self._documents)
        text = f"{serving} of {len(self._documents)} processes serve"
        bad = [
            f"{each['name']} is {each['state']}"
            for each in self._documents
            if each["state"] in ("restarting", "silent")
        ]
        if bad:
            raise Unwell(f"{text}: {', '.join(bad)}")
        return text

    def show(self, metrics: Metrics) -> None:
        """Show it among the metrics."""
        labels = ("process",)
        serving = metrics.reading("synnefo_process_serving", "Whether a process serves", labels)
        restarts = metrics.reading(
            "synnefo_process_restarts", "How often a process ended by itself", labels
        )

        def read() -> None:
            for each in self._documents:
                serving.set(each["state"] == "serving", each["name"])
                restarts.set(each["restarts"], each["name"])

        metrics.before_text(read)


class _Pipe(LineOnlyReceiver):
    """The pipes from and to the supervisor."""

    delimiter = b"\n"
    MAX_LENGTH = 65536

    def __init__(self, peers: Peers, end: Any) -> None:
        self._peers = peers
        self._end = end

    def lineReceived(self, line: bytes) -> None:
        self._peers.told(json.loads(line))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end()


class Worker(MultiService):
    """A cloud process and its pipes."""

    log = Logger()

    def __init__(self, loaded: Settings, roles: Collection[str], reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._end_seconds = int(loaded.http.drain_limit_seconds) + END_SLACK_SECONDS
        self._peers = Peers()
        self._pipe = _Pipe(self._peers, self._supervisor_gone)
        self._beating = LoopingCall(self._pipe_beat)
        self._beating.clock = reactor
        inherited = Inherited(
            ready=self._ready,
            sockets={
                role: SOCKET_DESCRIPTORS[role] for role in roles if role in SOCKET_DESCRIPTORS
            },
            metrics_folder=Path(os.environ[FOLDER_VARIABLE]),
        )
        CloudService(loaded, roles, reactor, inherited).setServiceParent(self)

    def startService(self) -> None:
        standard_io: Any = StandardIO
        standard_io(self._pipe, stdin=0, stdout=REPORT_DESCRIPTOR, reactor=self._reactor)
        super().startService()

    def _ready(self, app: Application) -> None:
        app.operation.health.add("processes", self._peers.health)
        self._peers.show(app.metrics)
        self._say(READY)
        self._beating.start(BEAT_SECONDS, now=False)

    def _pipe_beat(self) -> None:
        self._say(BEAT)

    def _say(self, word: bytes) -> None:
        if self._pipe.transport is not None:
            self._pipe.sendLine(word)

    def _supervisor_gone(self) -> None:
        if not self.running:
            return
        self.log.error("the supervisor is gone: this process ends")
        signal.alarm(self._end_seconds)
        self._reactor.stop()


class Options(UsageOptions):
    """Options of ``twistd synnefo-worker``."""

    optParameters = [
        ["config", "c", None, "Settings file, as for synnefo"],
        ["name", None, "worker", "Name of the process, for people who look at the process table"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["roles"] = []

    def opt_role(self, role: str) -> None:
        """Do this: api, events, console or timers. Repeatable."""
        if role not in ROLES:
            raise UsageError(f"--role must be one of {', '.join(ROLES)}")
        self["roles"].append(role)

    def postOptions(self) -> None:
        if FOLDER_VARIABLE not in os.environ:
            raise UsageError("this is started by twistd synnefo --workers N, not by hand")


def makeService(options: Any, reactor: Any = None) -> IService:
    """The service of a process below a supervisor."""
    if reactor is None:
        reactor = steady_reactor()
    # A terminal that hangs up is the supervisor's concern.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        loaded = settings.load(os.environ, options["config"])
    except settings.SettingsError as error:
        sys.exit(f"synnefo: {error}")
    return Worker(loaded, options["roles"], reactor)
