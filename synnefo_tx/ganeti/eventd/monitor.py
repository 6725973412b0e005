"""``snf-progress-monitor INSTANCE``: publishes how far an image installer is.

snf-image runs it (``PROGRESS_MONITOR``) with a stream of JSON objects on its standard input
(ganeti-backend reference §7). It never holds the installer up: while no broker confirms, a bounded
number of messages waits, and the oldest progress gives way.

Exit status: 0 when all was confirmed, 1 when something was not, 2 when it cannot start.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import react
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, formatEvent, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

from synnefo_tx import settings
from synnefo_tx.ganeti.broker.client import from_settings
from synnefo_tx.ganeti.broker.publisher import Publisher as BrokerPublisher
from synnefo_tx.ganeti.broker.topology import Topology, prefix_of
from synnefo_tx.ganeti.eventd.jobfile import routing_key
from synnefo_tx.ganeti.eventd.model import Publisher
from synnefo_tx.ganeti.eventd.objects import ObjectStream
from synnefo_tx.ganeti.model import Json
from synnefo_tx.settings import SettingsError

WAITING_MAX = 100
COPY_PROGRESS = "image-copy-progress"


class Monitor:
    """Publishes objects of one instance in order, and counts what was not confirmed."""

    log = Logger()

    def __init__(self, instance: str, publisher: Publisher, clock: Any) -> None:
        key = routing_key(instance, "progress")
        if key is None:
            raise ValueError(f"{instance!r} has no prefix: nobody waits for its progress")
        self._key, self._instance = key, instance
        self._publisher, self._clock = publisher, clock
        self._waiting: deque[Json] = deque()
        self._sending: Deferred[None] | None = None
        self.unconfirmed = 0

    def add(self, document: Json) -> None:
        """Publish an object, with instance and time."""
        if not isinstance(document.get("type"), str):
            self.log.warn("an object without a type is left out")
            return
        micros = round(self._clock.seconds() * 1_000_000)
        stamp = list(divmod(micros, 1_000_000))
        if len(self._waiting) >= WAITING_MAX:
            self._drop()
        self._waiting.append({**document, "event_time": stamp, "instance": self._instance})
        if self._sending is None:
            self._sending = Deferred.fromCoroutine(self._send())
            self._sending.addErrback(lambda failure: self.log.failure("sending ended", failure))

    def _drop(self) -> None:
        """Make room: the oldest progress is of least use."""
        oldest = next((each for each in self._waiting if each["type"] == COPY_PROGRESS), None)
        self._waiting.remove(self._waiting[0] if oldest is None else oldest)
        self.unconfirmed += 1

    async def _send(self) -> None:
        while self._waiting:
            document = self._waiting.popleft()
            try:
                body = json.dumps(document, allow_nan=False).encode("ascii")
                await self._publisher.publish(self._key, body)
            except Exception as error:
                # The installer goes on whatever the broker says; the exit status tells.
                self.unconfirmed += 1
                self.log.warn("not published: {error}", error=repr(error))
        self._sending = None

    async def finish(self, limit_seconds: float) -> bool:
        """Wait for confirms, so long at most; whether everything was confirmed."""
        sending = self._sending
        if sending is not None:
            done: Deferred[None] = Deferred(lambda _: None)
            sending.addBoth(lambda _: None if done.called else done.callback(None))
            try:
                await done.addTimeout(limit_seconds, self._clock)
            except TimeoutError:
                self.log.warn("no broker confirmed within {limit} s", limit=limit_seconds)
                return False
        return self.unconfirmed == 0


class Input(Protocol):
    """Gives the monitor the objects on standard input; ``ended`` fires at its end."""

    def __init__(self, monitor: Monitor) -> None:
        self.ended: Deferred[None] = Deferred()
        self._monitor, self._stream = monitor, ObjectStream()

    def dataReceived(self, data: bytes) -> None:
        for document in self._stream.feed(data):
            self._monitor.add(document)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stream.end()
        if self._stream.skipped:
            skipped = self._stream.skipped
            self._monitor.log.warn("{count} pieces of input were no objects", count=skipped)
        self.ended.callback(None)


@implementer(ILogObserver)
class _MonitorLines:
    """Lines on standard error, marked as snf-image's log expects."""

    def __call__(self, event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.warn:
            sys.stderr.write(f"[MONITOR] {formatEvent(event)}\n")


async def run(reactor: Any, argv: Sequence[str]) -> None:
    """The whole program. Raises SystemExit with its status."""
    parser = argparse.ArgumentParser("snf-progress-monitor")
    parser.add_argument("instance", help="name of the Ganeti instance that is being installed")
    parser.add_argument("--config", help="settings file; else SYNNEFO_CONFIG, else as the cloud")
    options = parser.parse_args(argv)
    globalLogBeginner.beginLoggingTo([_MonitorLines()], redirectStandardIO=False)
    try:
        loaded = settings.load(os.environ, options.config)
        broker = from_settings(loaded.broker, reactor, os.urandom)
        if broker is None:
            raise SettingsError("broker.urls names no broker")
        topology = Topology(loaded.broker.exchange, prefix_of(loaded.compute.backend_prefix_id))
        publisher = BrokerPublisher(broker, topology, reactor, os.urandom)
        monitor = Monitor(options.instance, publisher, reactor)
    except (SettingsError, ValueError, OSError) as error:
        sys.stderr.write(f"[MONITOR] {error}\n")
        raise SystemExit(2) from None

    publisher.startService()
    given = Input(monitor)
    StandardIO(given, reactor=reactor)
    await given.ended
    confirmed = await monitor.finish(loaded.eventd.monitor_limit_seconds)
    await publisher.stopService()
    raise SystemExit(0 if confirmed else 1)


def main() -> None:
    """Console entry."""
    react(lambda reactor: Deferred.fromCoroutine(run(reactor, sys.argv[1:])))
