"""The event source as a process of its own, with a broker that is a file.

    python -m tests.ganeti.eventd.child SETTINGS_JSON STATE_FILE BROKER_FILE

A message counts as confirmed once its line is in the file.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from twisted.application.service import MultiService
from twisted.internet import reactor
from twisted.logger import globalLogBeginner

from synnefo_tx.ganeti.eventd.luxi import LuxiDetails
from synnefo_tx.ganeti.eventd.source import Edges, EventSource
from synnefo_tx.log import observer
from synnefo_tx.settings import Eventd
from synnefo_tx.threads import BoundedThreads


class FilePublisher:
    """Appends each message as a line."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def publish(self, routing_key, body):
        line = json.dumps([routing_key, json.loads(body)]) + "\n"
        os.write(self._file, line.encode())


def main(given: str, state_file: str, broker_file: str) -> None:
    """Run until a signal."""
    settings = Eventd(**json.loads(given))
    globalLogBeginner.beginLoggingTo([observer(sys.stderr, "info")], redirectStandardIO=False)
    socket = Path(settings.socket_folder) / "ganeti-query"
    details = LuxiDetails(socket, settings.query_limit_seconds, reactor)
    threads = BoundedThreads("files", 2, 8, reactor)
    edges = Edges(FilePublisher(broker_file), details, settings.node_name, reactor, threads)
    source = EventSource(settings, Path(state_file), edges)
    process = MultiService()
    source.setServiceParent(process)
    reactor.callWhenRunning(process.startService)
    reactor.addSystemEventTrigger("before", "shutdown", process.stopService)
    reactor.addSystemEventTrigger("after", "shutdown", threads.stop)
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
