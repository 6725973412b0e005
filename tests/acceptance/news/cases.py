"""A cloud on a real cluster whose source of events publishes to a real broker."""

from __future__ import annotations

import os
import random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from synnefo_tx.ganeti.broker.address import parse_all
from synnefo_tx.ganeti.broker.client import AmqpBroker, read_trust
from synnefo_tx.ganeti.broker.interface import Link
from synnefo_tx.ganeti.broker.model import Delivery, Message
from synnefo_tx.ganeti.broker.topology import Topology, declare, prefix_of
from tests.acceptance import rabbitmq
from tests.acceptance.cloud.installed import InstalledCloudTestCase, reactor
from tests.acceptance.rabbitmq import RealBroker
from tests.support.processes import Twistd, until

NEVER = "86400"
WITHOUT_POLLS = {
    "GANETI__OPEN_POLL_SECONDS": NEVER,
    "GANETI__IDLE_POLL_SECONDS": NEVER,
    "GANETI__LISTING_SECONDS": NEVER,
}
RELAYED = "relayed"
RELAY_SECONDS = 0.2
FOREIGN_LIMIT_SECONDS = 120.0
EXPECTED = {"one": ("STOPPED", 2), "two": ("ACTIVE", 1), "three": ("STOPPED", 1)}


class NewsTestCase(InstalledCloudTestCase):
    """``source`` is the process that publishes; ``journey`` the life that each mode must show."""

    clusters_count = 1
    hears = True
    relayed = False
    polls = True

    async def setUp(self):
        self.node = RealBroker.of_environment()
        if self.node is None:
            raise SkipTest("no broker: run it by python -m tests.acceptance.run news")
        self.url = f"amqps://{self.node.user}:{self.node.password}@localhost:{self.node.tls_port}"
        # Two hosts of queues with the same names: one for the source, one for the cloud.
        told = f"{self.url}/{RELAYED}" if self.relayed else self.url
        if self.relayed:
            await deferToThread(rabbitmq.add_vhost, RELAYED)
        broker = {"BROKER__CA_FILE": self.node.ca_file, "BROKER__EXCHANGE": f"news-{os.getpid()}"}
        self.changes = {} if self.polls else dict(WITHOUT_POLLS)
        if self.hears:
            self.changes |= {**broker, "BROKER__URLS": told}
        await super().setUp()
        self.source = self.make_source({**broker, "BROKER__URLS": self.url})
        if self.hears:
            self.source.start()
            await self.source.wait_output(b"this node is master")
            self.addCleanup(self.source.end)
        self.relay = Relay(self, told) if self.relayed else None
        if self.relay is not None:
            await self.relay.start()
            self.addCleanup(self.relay.stop)

    def make_source(self, changes: dict[str, str]) -> Twistd:
        """``twistd synnefo-eventd`` on the cluster's master."""
        (cluster,) = self.clusters
        lib, name = f"{cluster.state}/lib", cluster.name
        environ = {
            **changes,
            "COMPUTE__BACKEND_PREFIX_ID": self.prefix,
            "EVENTD__QUEUE_FOLDER": f"{lib}/queue",
            "EVENTD__SSCONF_FOLDER": lib,
            "EVENTD__SOCKET_FOLDER": f"{cluster.state}/run/socket",
            "EVENTD__NODE_NAME": f"node1.{name}.example",
            "EVENTD__HISTORY_SECONDS": "1",
        }
        given = {f"SYNNEFO_{key}": value for key, value in environ.items()}
        return Twistd({"SYNNEFO_HOME": str(self.home / "eventd"), **given}, "synnefo-eventd")

    def link(self, url: str) -> Any:
        """A new link to the broker."""
        trust = read_trust(self.node.ca_file, "", "")
        return AmqpBroker(reactor, parse_all([url]), trust, os.urandom).connect()

    async def journey(self):
        """Servers are made, stopped, resized, started, removed, and one is stopped by hand."""
        # The first brings the network to the cluster. What depends on that and comes meanwhile is
        # submitted by the poller's sweep, which is no matter of news.
        first = await self.create(name="one")
        await self.reached(first["id"], "ACTIVE")
        made = await gatherResults([
            Deferred.fromCoroutine(self.create(name=name)) for name in ("two", "three", "four")
        ])  # fmt: skip
        ids = {each["name"]: each["id"] for each in (first, *made)}
        for id in ids.values():
            await self.reached(id, "ACTIVE")
        await self.act(ids["one"], shutdown={})
        await self.act(ids["two"], reboot={"type": "HARD"})
        await self.ask("DELETE", f"/compute/v2.0/servers/{ids['four']}", status=204)
        await self.reached(ids["one"], "STOPPED")
        await self.act(ids["one"], resize={"flavorRef": self.flavors[1]})
        await self.reached(ids["one"], "STOPPED")
        await self.by_hand(ids["three"])
        await self.reached(ids["two"], "ACTIVE")
        await self.gone(ids["four"])
        self.assertEqual(await self.states(), EXPECTED)
        await self.assert_quota_exact()
        await self.assert_reconciled()

    async def by_hand(self, id: int):
        """An administrator stops an instance on the cluster itself."""
        (rapi,) = self.rapis.values()
        name = f"{self.prefix}{id}"
        await self.done(rapi, rapi.shutdown(name, "by hand", timeout_seconds=0))

        async def followed():
            return (await self.server(id))["status"] == "STOPPED"

        await until(followed, FOREIGN_LIMIT_SECONDS, "what was done by hand is followed")

    async def gone(self, id: int):
        """Wait until a server is removed."""

        async def is_gone():
            return (await self.server(id))["status"] == "DELETED"

        await until(is_gone, FOREIGN_LIMIT_SECONDS, f"server {id} is removed")

    async def states(self):
        """Of each server its status and its number of processors, by name."""
        listed = await self.ask("GET", "/compute/v2.0/servers/detail")
        processors = dict(zip(self.flavors, (1, 2), strict=True))
        return {
            each["name"]: (each["status"], processors[each["flavor"]["id"]])
            for each in listed["servers"]
        }


class Relay:
    """Takes what the source tells, and tells it twice and out of order."""

    def __init__(self, case: NewsTestCase, told: str) -> None:
        self._case = case
        self._url = told
        self._topology = Topology(f"news-{os.getpid()}", prefix_of(case.prefix))
        self._chance = random.Random(20)
        self._kept: list[Message] = []
        self._task: Deferred[None] | None = None
        self.count = 0

    async def start(self) -> None:
        """Begin; both sides' queues are there."""
        self._heard: Link = await self._case.link(self._case.url)
        self._told: Link = await self._case.link(self._url)
        for each in (self._heard, self._told):
            await declare(each, self._topology)
        self._task = Deferred.fromCoroutine(self._run())

    async def stop(self) -> None:
        """End."""
        assert self._task is not None
        self._task.cancel()
        try:
            await self._task
        except CancelledError:
            await self._heard.close()
            await self._told.close()

    async def _run(self) -> None:
        while True:
            await deferLater(reactor, RELAY_SECONDS)
            for queue in self._topology.keys:
                while (delivery := await self._heard.get(queue)) is not None:
                    self._take(delivery)
            await self._pass_on()

    def _take(self, delivery: Delivery) -> None:
        key, body = delivery.routing_key, delivery.body
        self._kept += [Message(self._topology.exchange, key, body)] * 2
        self._heard.acknowledge(delivery.tag)
        self.count += 1

    async def _pass_on(self) -> None:
        """Half of what there is, drawn by chance; the rest waits for its next turn."""
        self._chance.shuffle(self._kept)
        half = (len(self._kept) + 1) // 2
        now, self._kept = self._kept[:half], self._kept[half:]
        for each in now:
            await self._told.publish(each)
