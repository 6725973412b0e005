"""An event source on a folder, with a broker that the test holds in its hands."""

from __future__ import annotations

import json
import os
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from synnefo_tx.ganeti.broker.model import BrokerLost, Unroutable
from synnefo_tx.ganeti.eventd.source import Edges, EventSource
from synnefo_tx.settings import Eventd
from synnefo_tx.threads import BoundedThreads
from tests.ganeti.eventd.samples import CLUSTER, NODE
from tests.support.processes import until

LIMIT_SECONDS = 20.0


class HandBroker:
    """Confirms at once; while ``away`` not at all, as a publisher does that reconnects."""

    def __init__(self):
        self.confirmed, self.asked = [], []
        self.away = False
        self.unwanted, self.failures = set(), 0
        self.hang, self._back = set(), []

    async def publish(self, routing_key, body):
        self.asked.append(routing_key)
        if routing_key in self.hang:
            await Deferred()
        if routing_key in self.unwanted:
            raise Unroutable(f"no queue for {routing_key}")
        if self.failures:
            self.failures -= 1
            raise BrokerLost("the connection broke")
        if self.away:
            waiting = Deferred()
            self._back.append(waiting)
            await waiting
        self.confirmed.append(json.loads(body))

    def come_back(self):
        """The broker is there again: what waits is confirmed."""
        self.away = False
        back, self._back = self._back, []
        for waiting in back:
            waiting.callback(None)

    def told(self):
        """Job and status of each confirmed message."""
        return [(each["jobId"], each["status"]) for each in self.confirmed]


class FixedDetails:
    """Knows one NIC of every instance."""

    def __init__(self):
        self.asked = []

    async def of(self, instance):
        self.asked.append(instance)
        return {"instance_nics": [{"name": f"{instance}-nic"}]}


class NodeFolder:
    """The files of a node: its queue with archive, and its ssconf."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.queue = self.path / "queue"
        (self.queue / "archive").mkdir(parents=True)
        self.set_master(NODE)
        (self.path / "ssconf_cluster_name").write_text(f"{CLUSTER}\n")

    def set_master(self, node: str) -> None:
        """Who is master."""
        fresh = self.path / "ssconf.new"
        fresh.write_text(f"{node}\n")
        fresh.replace(self.path / "ssconf_master_node")

    def write(self, number: int, content: bytes) -> None:
        """Write a job file as Ganeti does: whole, then renamed."""
        fresh = self.queue / f"job-{number}-1-2.tmp"
        fresh.write_bytes(content)
        fresh.replace(self.queue / f"job-{number}")

    def archive(self, number: int) -> None:
        """Move a job file into the archive."""
        folder = self.queue / "archive" / str(number // 10_000)
        folder.mkdir(exist_ok=True)
        os.rename(self.queue / f"job-{number}", folder / f"job-{number}")

    def settings(self, **changes) -> Eventd:
        """Settings of a source on these files, quick enough for tests."""
        return Eventd(
            **{
                "queue_folder": str(self.queue),
                "ssconf_folder": str(self.path),
                "socket_folder": str(self.path),
                "node_name": NODE,
                "check_seconds": 0.05,
                "save_seconds": 0.05,
                "stop_limit_seconds": 0.5,
                **changes,
            }
        )


class SourceTestCase(TestCase):
    """A node's folder and a broker; sources that are stopped at the end."""

    def setUp(self):
        self.node = NodeFolder(Path(self.mktemp()))
        self.broker, self.details = HandBroker(), FixedDetails()
        self.state_file = self.node.path / "state" / "eventd.json"
        self.now = int(reactor.seconds())

    def source(self, **changes) -> EventSource:
        """A started source."""
        threads = BoundedThreads("files", 2, 8, reactor)
        self.addCleanup(threads.stop)
        edges = Edges(self.broker, self.details, NODE, reactor, threads)
        source = EventSource(self.node.settings(**changes), self.state_file, edges)
        source.startService()
        self.addCleanup(self.stop, source)
        return source

    async def stop(self, source) -> None:
        """Stop it, unless it is."""
        if source.running:
            await source.stopService()

    async def seen(self, *expected) -> None:
        """Wait until these and no other messages were confirmed, in any order of jobs."""

        async def all_there():
            return len(self.broker.confirmed) >= len(expected)

        await until(all_there, LIMIT_SECONDS, f"{expected}, but {self.broker.told()}")
        self.assertEqual(sorted(self.broker.told()), sorted(expected))
