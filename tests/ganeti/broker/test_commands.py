"""Looking into queues and retrying dead letters, by command."""

from __future__ import annotations

from attrs import evolve
from twisted.internet import reactor

from synnefo_tx.ganeti.broker.memory import MemoryBroker
from synnefo_tx.ganeti.broker.model import Message
from synnefo_tx.ganeti.broker.topology import DEAD, Topology, declare
from tests.support.cloud import CloudCommandTestCase

QUEUE = "snf-events-op"
KEY = "ganeti.snf.event.op"


class NoBrokerTests(CloudCommandTestCase):
    """A cloud without a broker."""

    async def test_refused(self):
        """The commands say what is missing."""
        for argv in (("queue-inspect", QUEUE), ("queue-retry",)):
            self.assertIn("broker.urls", await self.refusal(*argv))


class QueueTestCase(CloudCommandTestCase):
    """A cloud with a broker in memory and nobody who consumes."""

    async def setUp(self):
        self.broker = MemoryBroker(reactor)
        await super().setUp()
        self.link = await self.broker.connect()
        await declare(self.link, Topology())

    def edges(self):
        return evolve(super().edges(), broker=self.broker)

    async def publish(self, *bodies, headers=None):
        for body in bodies:
            await self.link.publish(Message("ganeti", KEY, body, headers or {}))

    async def kill(self, *bodies, headers=None):
        """Have messages in the dead letters."""
        await self.publish(*bodies, headers=headers)
        for _ in bodies:
            delivery = await self.link.get(QUEUE)
            self.link.reject(delivery.tag, requeue=False)


class InspectTests(QueueTestCase):
    """queue-inspect."""

    async def test_stays(self):
        """Messages are shown in order with body and headers, and stay."""
        await self.publish(b'{"a": "\xc3\xa4"}', b"\xff", headers={"x": 1})
        ran = await self.command("queue-inspect", QUEUE)
        self.assertEqual(ran.status, 0, ran.err)
        for text in ('{"a": "ä"}', "header x", KEY, "Message 2"):
            self.assertIn(text, ran.out)
        self.assertIn("2 messages", ran.err)
        self.assertEqual(self.broker.length(QUEUE), 2)
        self.assertEqual((await self.link.get(QUEUE)).body, b'{"a": "\xc3\xa4"}')

    async def test_removed(self):
        """With --no-requeue what is shown is removed."""
        await self.publish(b"1", b"2")
        await self.command("queue-inspect", QUEUE, "--no-requeue")
        self.assertEqual(self.broker.length(QUEUE), 0)

    async def test_asked(self):
        """With -i each is asked for; only a yes removes."""
        await self.publish(b"1", b"2", b"3")
        ran = await self.command("queue-inspect", QUEUE, "-i", typed="n\ny\n\n")
        self.assertEqual(ran.err.count("Remove it?"), 3)
        self.assertEqual(self.broker.length(QUEUE), 2)
        self.assertEqual([(await self.link.get(QUEUE)).body for _ in range(2)], [b"1", b"3"])

    async def test_refused(self):
        """A queue that is not there, and a broker that is away."""
        self.assertIn("no queue", await self.refusal("queue-inspect", "other"))
        self.broker.stop()
        self.assertIn("does not serve", await self.refusal("queue-inspect", QUEUE))


class RetryTests(QueueTestCase):
    """queue-retry."""

    async def results(self, *options):
        records = await self.records("queue-retry", *options)
        return [each["result"] for each in records]

    async def test_again(self):
        """A dead letter is published to where it was, marked; the dead letters are empty."""
        await self.kill(b"{}", b"[]")
        self.assertEqual(await self.results(), ["published again"] * 2)
        self.assertEqual(self.broker.length(QUEUE + DEAD), 0)
        delivery = await self.link.get(QUEUE)
        self.assertEqual((delivery.body, delivery.exchange), (b"{}", "ganeti"))
        self.assertEqual(delivery.headers, {"from-dead-letter": True})

    async def test_zombies(self):
        """What died again is dropped, unless it is to be kept."""
        zombie = {"from-dead-letter": True}
        await self.kill(b"{}", headers=zombie)
        self.assertEqual(await self.results(), ["dropped: it died again"])
        await self.kill(b"{}", headers=zombie)
        self.assertEqual(await self.results("--keep-zombies"), ["published again"])
        self.assertEqual(self.broker.length(QUEUE), 1)

    async def test_dropped(self):
        """What is not JSON, or bears no death record, is dropped and told; the rest goes on."""
        await self.kill(b"\xff")
        await self.link.publish(Message("", QUEUE + DEAD, b"{}"))
        await self.kill(b"[1]")
        self.assertEqual(
            await self.results(),
            [
                "dropped: it is not JSON",
                "dropped: it does not say where it comes from",
                "published again",
            ],
        )
        self.assertEqual(self.broker.length(QUEUE + DEAD), 0)

    async def test_odd_records(self):
        """Death records of any shape are no reason to stop."""
        for deaths in ("x", [], ["x"], [{}], [{"exchange": 1, "routing-keys": ["k"]}]):
            headers = {"x-death": deaths}
            await self.link.publish(Message("", QUEUE + DEAD, b"{}", headers))
        self.assertEqual(len(await self.results()), 5)
