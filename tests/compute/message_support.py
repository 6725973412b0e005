"""A cloud that hears of its cluster by messages alone."""

from __future__ import annotations

import random

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

from synnefo_tx.ganeti.broker.memory import MemoryBroker
from synnefo_tx.ganeti.broker.model import Message
from synnefo_tx.ganeti.broker.topology import DEAD
from synnefo_tx.ganeti.jobs.store import open_intents
from tests.support.cloud import JOB_SECONDS, CloudTestCase
from tests.support.news import body, messages_of

WAIT_STEPS = 5000
WAIT_SECONDS = 25.0
WINDOW = 500


class MessageTestCase(CloudTestCase):
    """A cloud with a broker in memory and nobody who polls.

    ``tell`` publishes what the jobs of the cluster say, as ``with_intent``, ``times`` and
    ``shuffled`` want it.
    """

    with_intent = True
    times = 1
    shuffled = False

    async def setUp(self) -> None:
        self.broker = self.make_broker()
        await super().setUp()
        self.told: dict[int, set[str]] = {}
        self.chance = random.Random(7)
        self.consumer = self.app.broker.consumer
        self.consumer.startService()
        self.addCleanup(self.consumer.stopService)
        await self.until(lambda: self.consumer.session.connected)

    def make_broker(self):
        """The broker of this cloud."""
        return MemoryBroker(reactor)

    async def length(self, queue: str) -> int:
        """How many messages wait in a queue."""
        return self.broker.length(queue)

    def edges(self):
        return evolve(super().edges(), broker=self.broker)

    async def until(self, condition) -> None:
        for _ in range(WAIT_STEPS):
            if condition():
                return
            await deferLater(reactor, WAIT_SECONDS / WAIT_STEPS)
        raise AssertionError("it does not come true")

    async def pause(self, seconds: float) -> None:
        """Let time pass."""
        await deferLater(reactor, seconds)

    async def publish(self, *bodies: bytes, kind: str = "op") -> None:
        """Publish bodies and wait until all are settled."""
        topology = self.app.broker.topology
        key = topology.keys[f"{topology.prefix}-events-{kind}"]
        before = self.consumer.counts.total()
        link = await self.broker.connect()
        for at in range(0, len(bodies), WINDOW):
            window = bodies[at : at + WINDOW]
            messages = [Message(topology.exchange, key, each) for each in window]
            await gatherResults([link.publish(each) for each in messages])
        await link.close()
        await self.until(lambda: self.consumer.counts.total() >= before + len(bodies))

    async def jobs(self):
        rapi = await self.app.ganeti.backends.rapi(self.backends["alpha"])
        return await rapi.jobs_since(0)

    async def tell(self) -> None:
        """Publish what was not told yet of every job."""
        fresh = []
        for job in await self.jobs():
            told = self.told.setdefault(job.id, set())
            said = messages_of("alpha", job, with_intent=self.with_intent)
            for status in said.keys() - told if self.shuffled else [*said]:
                if status not in told:
                    kind = "network" if "network" in said[status] else "op"
                    fresh += [(kind, body(said[status]))] * self.times
                    told.add(status)
        if self.shuffled:
            self.chance.shuffle(fresh)
        for kind in ("op", "network"):
            bodies = [each for of, each in fresh if of == kind]
            if bodies:
                await self.publish(*bodies, kind=kind)

    async def settle(self) -> None:
        """Tell until no intent is open; nobody asks the cluster."""
        for _ in range(WAIT_STEPS):
            await self.tell()
            if not await open_intents(self.database, self.backends["alpha"]):
                return
            await deferLater(reactor, JOB_SECONDS)
        raise AssertionError("intents are still open")

    async def assert_rests(self, dead: int = 0) -> None:
        """Nothing waits or is unsettled, so many messages are dead, usage is exact."""
        self.assertEqual(self.consumer.in_flight, 0)
        queues = self.app.broker.topology.keys
        for each in queues:
            self.assertEqual(await self.length(each), 0)
        self.assertEqual(sum([await self.length(each + DEAD) for each in queues]), dead)
        await self.assert_exact()
