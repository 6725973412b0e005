"""A cloud that hears of its cluster through RabbitMQ, whatever happens to that."""

from __future__ import annotations

import os
import random

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from synnefo_tx.ganeti.broker.publisher import Publisher
from synnefo_tx.ganeti.broker.topology import DEAD
from synnefo_tx.settings import BrokerSettings, Compute, Settings
from tests.acceptance import rabbitmq
from tests.acceptance.broker.support import RabbitTestCase
from tests.compute import test_messages as cases
from tests.compute.message_support import MessageTestCase
from tests.support.news import body, message, messages_of

MUTATED = 10_000
SERVERS = 4
QUEUES_KEPT_SECONDS = 3.0


class RabbitNewsTestCase(MessageTestCase, RabbitTestCase):
    """The cloud of the tests, with RabbitMQ for its broker."""

    timeout = 400

    async def setUp(self):
        RabbitTestCase.setUp(self)
        name = self.topology.prefix
        self.settings = Settings(
            compute=Compute(backend_prefix_id=f"{name}-"), broker=BrokerSettings(exchange=name)
        )
        await super().setUp()

    def make_broker(self):
        return self.client(self.url("localhost"))

    async def length(self, queue):
        link = await self.broker.connect()
        try:
            return await link.queue_length(queue)
        finally:
            await link.close()


class InOrderTests(cases.LifeMixin, RabbitNewsTestCase):
    """Every message once, in order."""


class AnyOrderTests(cases.LifeMixin, RabbitNewsTestCase):
    """Every message twice, in any order."""

    times = 2
    shuffled = True


class RestartTests(RabbitNewsTestCase):
    """The broker stops, and starts again."""

    async def over(self, stop):
        """Servers are made while the broker is stopped and started: all end well."""
        publisher = Publisher(self.broker, self.topology, reactor, os.urandom)
        publisher.startService()
        self.addCleanup(publisher.stopService)
        # RabbitMQ writes down which queues it has some time after it made them: one that is killed
        # sooner keeps the name of a queue that never answers again.
        await self.pause(QUEUES_KEPT_SECONDS)
        ids = [await self.create() for _ in range(SERVERS)]
        publishing = []
        told = set()
        restarting = Deferred.fromCoroutine(self.restart_by(stop))
        for _ in range(2000):
            for job in await self.jobs():
                for status, each in messages_of("alpha", job).items():
                    if (job.id, status) not in told:
                        told.add((job.id, status))
                        kind = "network" if "network" in each else "op"
                        key = self.topology.keys[f"{self.topology.prefix}-events-{kind}"]
                        coming = publisher.publish(key, body(each))
                        publishing.append(Deferred.fromCoroutine(coming))
            states = [await self.operstate(id) for id in ids]
            if restarting.called and states == ["STARTED"] * SERVERS:
                break
            await self.pause(0.02)
        else:
            self.fail(f"the servers are {states}")
        await restarting
        for each in publishing:
            await each
        await self.until(lambda: self.consumer.in_flight == 0)
        await self.assert_exact()

    async def restart_by(self, stop):
        await deferToThread(stop)
        await self.pause(2)
        await deferToThread(rabbitmq.start)

    async def test_stopped(self):
        """It is stopped in good order."""
        await self.over(rabbitmq.stop)

    async def test_killed(self):
        """It is killed."""
        await self.over(lambda: rabbitmq.stop(kill=True))


class MutationTests(RabbitNewsTestCase):
    """Messages that somebody has tampered with."""

    async def test_mutated(self):
        """Ten thousand mutated messages stop nothing; what cannot be read is in the dead letters
        and the next good message is applied."""
        id = await self.built()
        [job] = [each for each in await self.jobs() if each.ops[0]["OP_ID"].endswith("CREATE")]
        name = f"{self.topology.prefix}-{id}"
        good = body(message("alpha", name, "OP_INSTANCE_CREATE", "success", job.id))
        chance = random.Random(7)
        bodies = [cases.mutated(good, chance) for _ in range(MUTATED)]
        await self.publish(*bodies)
        unreadable = sum(map(cases.is_malformed, bodies))
        self.assertGreater(unreadable, MUTATED // 4)
        dead = f"{self.topology.prefix}-events-op{DEAD}"
        for _ in range(200):
            if await self.length(dead) == unreadable:
                break
            await self.pause(0.1)
        await self.app.compute.actions.shutdown(self.user, id)
        await self.settle()
        self.assertEqual(await self.operstate(id), "STOPPED")
        self.assertEqual(self.consumer.session.connections, 1)
        await self.assert_rests(dead=unreadable)
