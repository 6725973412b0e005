"""``twistd synnefo-eventd``: news of a Ganeti master's jobs for a message broker.

Runs on every master candidate; publishes on the master only. Needs no database.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

from twisted.application.service import IService, Service
from twisted.logger import Logger
from twisted.python import usage

from synnefo_tx import settings
from synnefo_tx.ganeti.broker.client import from_settings
from synnefo_tx.ganeti.broker.publisher import Publisher
from synnefo_tx.ganeti.broker.topology import Topology, prefix_of
from synnefo_tx.ganeti.eventd.luxi import LuxiDetails
from synnefo_tx.ganeti.eventd.source import Edges, EventSource
from synnefo_tx.settings import Settings, SettingsError
from synnefo_tx.threads import BoundedThreads

QUERY_SOCKET = "ganeti-query"


class Options(usage.Options):
    """Command line of the plugin."""

    optParameters = [
        ["config", "c", None, "Settings file; else SYNNEFO_CONFIG, else synnefo.toml at home"],
    ]


class EventdService(Service):
    """The source of events and the publisher it uses, which stops after it."""

    log = Logger()

    def __init__(self, source: EventSource, publisher: Publisher, threads: BoundedThreads) -> None:
        self._source, self._publisher, self._threads = source, publisher, threads

    def startService(self) -> None:
        super().startService()
        self._publisher.startService()
        self._source.startService()

    async def stopService(self) -> None:
        """Wait for confirms within the limit, keep the state, leave the broker."""
        super().stopService()
        await self._source.stopService()
        await self._publisher.stopService()
        self._threads.stop()
        self.log.info("stopped")


def makeService(options: Any, reactor: Any = None) -> IService:
    """The service of this process. A settings error ends it with one line."""
    if reactor is None:
        from twisted.internet import reactor
    try:
        loaded = settings.load(os.environ, options["config"])
        return build(loaded, reactor)
    except SettingsError as error:
        sys.exit(f"synnefo-eventd: {error}")


def build(loaded: Settings, reactor: Any) -> EventdService:
    """Everything that the process is made of. Raises SettingsError."""
    own = loaded.eventd
    try:
        broker = from_settings(loaded.broker, reactor, os.urandom)
    except (ValueError, OSError) as error:
        raise SettingsError(f"broker: {error}") from None
    if broker is None:
        raise SettingsError("broker.urls names no broker: without one there is nobody to tell")
    if own.pending_max < 2 or own.check_seconds <= 0 or own.save_seconds <= 0:
        raise SettingsError("eventd: pending_max, check_seconds and save_seconds must be positive")
    topology = Topology(loaded.broker.exchange, prefix_of(loaded.compute.backend_prefix_id))
    publisher = Publisher(broker, topology, reactor, os.urandom)
    details = LuxiDetails(Path(own.socket_folder) / QUERY_SOCKET, own.query_limit_seconds, reactor)
    limits = loaded.threads
    threads = BoundedThreads("files", limits.file_threads, limits.file_waiting_max, reactor)
    node = own.node_name or socket.gethostname()
    edges = Edges(publisher, details, node, reactor, threads)
    state_file = Path(own.state_file) if own.state_file else loaded.home / "eventd.json"
    return EventdService(EventSource(own, state_file, edges), publisher, threads)
