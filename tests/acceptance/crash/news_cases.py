"""Kills of everything that may be killed: the service, one of its workers, the source of events.

The cluster in memory keeps the files of a Ganeti master, ``twistd synnefo-eventd`` watches them and
publishes to RabbitMQ; between the cloud and RAPI stands a proxy that loses requests and replies.
"""

import os
import re
import signal
from random import Random

from attrs import define, field

from tests.acceptance.rabbitmq import RealBroker
from tests.crash.cases import RESTART_LIMIT_SECONDS, SEED, CrashTestCase
from tests.support.cutting_proxy import REPLY_LOST, REQUEST_LOST, CuttingProxy
from tests.support.http import request
from tests.support.processes import Twistd, numbered_processes_of, until

OUTCOME = re.compile(r'^synnefo_broker_messages{.*outcome="([^"]+)".*} ([0-9.]+)', re.M)
CLUSTER = "memory.example"
CUT_CHANCE = 0.1
HEARD_LIMIT_SECONDS = 90.0
# Who is struck how often.
VICTIMS = ("service", "worker", "worker", "eventd", "eventd")
APPLIED = 'synnefo_broker_messages{outcome="applied"}'


@define
class Cuts:
    """Loses a tenth of what changes something, before or after it had its effect."""

    chance: Random = field(factory=lambda: Random(SEED))
    count: int = 0

    def __call__(self, target: bytes) -> str:
        if target.startswith(b"GET") or self.chance.random() > CUT_CHANCE:
            return ""
        self.count += 1
        return self.chance.choice((REQUEST_LOST, REPLY_LOST))


class NewsCrashTestCase(CrashTestCase):
    """Two API workers, events, cuts."""

    timeout = 1800

    async def setUp(self):
        broker = RealBroker.of_environment()
        if broker is None:
            self.skipTest("no broker was started for it")
        url = f"amqp://{broker.user}:{broker.password}@127.0.0.1:{broker.plain_port}/"
        self.changes = {
            "HTTP__WORKERS": "2",
            "BROKER__URLS": url,
            "BROKER__EXCHANGE": f"crash-{self.id().rpartition('.')[2]}",
        }
        await super().setUp()

    @property
    def cluster_options(self):
        return ["--node-files", str(self.folder / "node")]

    async def install(self, rapi):
        pem = self.folder / "ganeti" / "server.pem"
        self.cuts = Cuts()
        self.proxy = CuttingProxy(rapi["host"], rapi["port"], pem, self.cuts)
        self.addCleanup(self.proxy.listening.stopListening)
        await super().install({**rapi, "port": self.proxy.port})
        self.eventd = Twistd(self.eventd_environ(), "--logger", "synnefo_tx.log.eventd_file",
                             "synnefo-eventd")  # fmt: skip
        self.eventd.start()

    def eventd_environ(self):
        node = self.folder / "node"
        broker = {name: value for name, value in self.changes.items() if "BROKER" in name}
        shared = {f"SYNNEFO_{name}": value for name, value in broker.items()}
        return {
            **shared,
            "SYNNEFO_HOME": str(self.folder / "eventd"),
            "SYNNEFO_EVENTD__QUEUE_FOLDER": str(node / "queue"),
            "SYNNEFO_EVENTD__SSCONF_FOLDER": str(node),
            "SYNNEFO_EVENTD__SOCKET_FOLDER": str(node),
            "SYNNEFO_EVENTD__NODE_NAME": f"node1.{CLUSTER}",
            "SYNNEFO_EVENTD__QUERY_LIMIT_SECONDS": "0.5",
        }

    async def end(self):
        await self.eventd.end()
        await super().end()

    async def strike(self):
        victim = self.random.choice(VICTIMS)
        if victim == "service":
            await self.kill_and_restart()
        elif victim == "eventd":
            await self.eventd.end("KILL")
            self.eventd.start()
        else:
            await self.kill_worker()

    async def kill_worker(self):
        """Kill one API process; the other serves on, and the supervisor starts it again."""
        workers = self.workers()
        os.kill(self.random.choice(sorted(workers)), signal.SIGKILL)

        async def is_back():
            return len(self.workers()) == len(workers) and self.workers() != workers

        await until(is_back, RESTART_LIMIT_SECONDS, "the worker is back")

    def workers(self):
        """The processes that serve the API."""
        found = numbered_processes_of(self.folder)
        return {pid for pid, command in found.items() if "--name api" in command}

    async def assert_whole(self, app):
        """As ever; and messages are taken as on the first day, none of them is dead."""
        await super().assert_whole(app)
        self.assertGreater(self.cuts.count, 0)
        self.assertEqual(self.proxy.failures, [])

        async def heard():
            await self.users[0].create()
            counts = await self.outcomes()
            return counts if counts.get("applied") else None

        counts = await until(heard, HEARD_LIMIT_SECONDS, "messages are applied")
        self.assertEqual(counts["dead-lettered"], 0, counts)

    async def outcomes(self):
        """How many messages had which outcome, in the service's last life."""
        text = (await request(self.cloud.url, "GET", "/metrics")).body.decode()
        return {name: float(count) for name, count in OUTCOME.findall(text)}
