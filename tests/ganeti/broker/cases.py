"""What a broker does, as far as this project relies on it: one suite for every broker.

Run against the broker in memory as part of the tests, and against RabbitMQ by
``python -m tests.acceptance.run broker``. A case uses what ``BrokerSupport`` names.
"""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import Deferred, gatherResults

from synnefo_tx.ganeti.broker.model import (
    BODY_MAX_BYTES,
    BrokerLost,
    BrokerRefused,
    Message,
    Unroutable,
)
from synnefo_tx.ganeti.broker.publisher import Publisher
from synnefo_tx.ganeti.broker.topology import DEAD, Topology, declare

WAIT_STEPS = 2000
ARRIVES_SECONDS = 0.3


class BrokerSupport:
    """What a case needs of its surroundings.

    ``broker`` (see ``interface.Broker``), ``clock``, ``topology`` (names that no other case uses).
    """

    def link(self):
        """A link with the topology declared, closed at the end."""
        raise AssertionError("a broker's test says how")

    async def sleep(self, seconds):
        """Let time pass."""
        raise AssertionError("a broker's test says how")

    async def restart(self):
        """Stop the broker and start it again with what it kept."""
        raise AssertionError("a broker's test says how")

    async def until(self, what, condition):
        """Wait until a condition holds, within a limit."""
        for _ in range(WAIT_STEPS):
            if condition():
                return
            await self.sleep(0.02)
        raise AssertionError(f"not within the limit: {what}")

    @property
    def op_queue(self):
        return f"{self.topology.prefix}-events-op"

    @property
    def op_key(self):
        return self.topology.keys[self.op_queue]

    def message(self, body):
        return Message(self.topology.exchange, self.op_key, body)

    async def next(self, link, queue):
        """The next message of a queue, which may still be under way there."""
        for _ in range(WAIT_STEPS):
            found = await link.get(queue)
            if found is not None:
                return found
            await self.sleep(0.02)
        raise AssertionError(f"{queue} stays empty")


class LinkCases(BrokerSupport):
    """One connection."""

    async def test_publish_and_consume(self):
        """What is confirmed is delivered, in order, octet by octet."""
        link = await self.link()
        received = []
        await link.consume(self.op_queue, 64, received.append)
        bodies = [b"", b"\xff\xfe\x00", "äöü".encode(), b"x" * 300_000]
        await gatherResults([link.publish(self.message(body)) for body in bodies])
        await self.until("four deliveries", lambda: len(received) == 4)
        self.assertEqual([each.body for each in received], bodies)
        first = received[0]
        self.assertEqual(
            (first.queue, first.exchange, first.routing_key, first.redelivered, first.oversized),
            (self.op_queue, self.topology.exchange, self.op_key, False, False),
        )

    async def test_prefetch(self):
        """No more than the prefetch is delivered before something is acknowledged."""
        link = await self.link()
        received = []
        await link.consume(self.op_queue, 3, received.append)
        await gatherResults([link.publish(self.message(b"%d" % n)) for n in range(8)])
        await self.until("three", lambda: len(received) == 3)
        await self.sleep(ARRIVES_SECONDS)
        self.assertEqual(len(received), 3)
        link.acknowledge(received[1].tag, multiple=True)
        await self.until("five", lambda: len(received) == 5)
        link.acknowledge(received[4].tag)
        await self.until("six", lambda: len(received) == 6)

    async def test_not_acknowledged(self):
        """What was not acknowledged when a link ends is delivered again, and says so."""
        link = await self.link()
        await gatherResults([link.publish(self.message(b"%d" % n)) for n in range(3)])
        for _ in range(3):
            last = await self.next(link, self.op_queue)
        link.acknowledge(last.tag)
        await link.close()
        other = await self.link()
        again = [await self.next(other, self.op_queue) for _ in range(2)]
        self.assertEqual(
            [(each.body, each.redelivered) for each in again], [(b"0", True), (b"1", True)]
        )
        self.assertIsNone(await other.get(self.op_queue))

    async def test_requeued(self):
        """A delivery that is rejected with requeue comes again."""
        link = await self.link()
        await link.publish(self.message(b"x"))
        link.reject((await self.next(link, self.op_queue)).tag, requeue=True)
        again = await self.next(link, self.op_queue)
        self.assertEqual((again.body, again.redelivered), (b"x", True))

    async def test_dead_letter(self):
        """A delivery that is rejected for good is in the dead letters, and says why and whence."""
        link = await self.link()
        await link.publish(evolve(self.message(b"bad"), headers={"kept": "yes"}))
        link.reject((await self.next(link, self.op_queue)).tag, requeue=False)
        dead = await self.next(link, self.op_queue + DEAD)
        self.assertEqual(dead.body, b"bad")
        self.assertEqual(dead.headers["kept"], "yes")
        [death] = dead.headers["x-death"]
        self.assertEqual(
            (death["queue"], death["reason"], death["count"], death["routing-keys"]),
            (self.op_queue, "rejected", 1, [self.op_key]),
        )
        self.assertEqual(death["exchange"], self.topology.exchange)
        self.assertIsNone(await link.get(self.op_queue))

    async def test_routing(self):
        """Each key leads to its own queue; a key that nobody wants comes back."""
        link = await self.link()
        for queue, key in self.topology.keys.items():
            await link.publish(Message(self.topology.exchange, key, key.encode()))
            self.assertEqual((await self.next(link, queue)).body, key.encode())
        with self.assertRaises(Unroutable):
            await link.publish(Message(self.topology.exchange, "nobody.wants", b""))

    async def test_queue_length(self):
        """How many messages wait."""
        link = await self.link()
        self.assertEqual(await link.queue_length(self.op_queue), 0)
        await gatherResults([link.publish(self.message(b"x")) for _ in range(5)])
        self.assertEqual(await link.queue_length(self.op_queue), 5)

    async def test_no_such_queue(self):
        """A queue that is not there is a refusal and ends the link."""
        link = await self.link()
        with self.assertRaises(BrokerRefused):
            await link.queue_length("no-such-queue")
        self.assertIsInstance(await link.until_lost(), BrokerRefused)
        with self.assertRaises(BrokerRefused):
            await link.publish(self.message(b"x"))

    async def test_other_arguments(self):
        """A queue that is there with other arguments is a refusal that says so."""
        link = await self.link()
        with self.assertRaises(BrokerRefused) as refused:
            await link.declare_queue(self.op_queue, {"x-queue-type": "quorum"})
        self.assertIn("406", str(refused.exception))

    async def test_declared_again(self):
        """Who comes second finds everything there."""
        link = await self.link()
        await link.publish(self.message(b"x"))
        await declare(link, self.topology)
        self.assertEqual(await link.queue_length(self.op_queue), 1)

    async def test_restart(self):
        """What was confirmed is there after the broker was stopped and started."""
        link = await self.link()
        await link.publish(self.message(b"kept"))
        lost = Deferred.fromCoroutine(link.until_lost())
        await self.restart()
        self.assertIsInstance(await lost, BrokerLost)
        other = await self.link()
        self.assertEqual((await self.next(other, self.op_queue)).body, b"kept")

    async def test_largest_body(self):
        """The largest body arrives whole."""
        link = await self.link()
        body = bytes(range(256)) * (BODY_MAX_BYTES // 256)
        await link.publish(self.message(body))
        self.assertEqual((await self.next(link, self.op_queue)).body, body)


class PublisherCases(BrokerSupport):
    """The service that publishes."""

    def publisher(self, **options):
        """A publisher that runs, stopped at the end."""
        publisher = Publisher(self.broker, self.topology, self.clock, bytes, **options)
        publisher.startService()
        self.addCleanup(publisher.stopService)
        return publisher

    async def test_confirmed(self):
        """A publish returns when the message is in its queue, though nobody declared that."""
        publisher = self.publisher()
        await publisher.publish(self.op_key, b"x")
        link = await self.link()
        self.assertEqual((await link.get(self.op_queue)).body, b"x")
        self.assertEqual(publisher.unconfirmed, 0)

    async def test_bound(self):
        """Beyond the bound callers wait, and all get through."""
        publisher = self.publisher(unconfirmed_max=3)
        publishing = [
            Deferred.fromCoroutine(publisher.publish(self.op_key, b"%d" % n)) for n in range(20)
        ]
        self.assertEqual(publisher.unconfirmed, 3)
        await gatherResults(publishing)
        link = await self.link()
        self.assertEqual(await link.queue_length(self.op_queue), 20)

    async def test_over_a_restart(self):
        """What is published while the broker restarts is there afterwards, each at least once."""
        publisher = self.publisher(unconfirmed_max=50)
        publishing = []
        for n in range(40):
            publishing.append(Deferred.fromCoroutine(publisher.publish(self.op_key, b"%d" % n)))
            if n == 20:
                await publishing[0]
                publishing.append(Deferred.fromCoroutine(self.restart()))
        await gatherResults(publishing)
        link = await self.link()
        found = set()
        while (delivery := await link.get(self.op_queue)) is not None:
            found.add(delivery.body)
        self.assertEqual(found, {b"%d" % n for n in range(40)})

    async def test_unroutable(self):
        """A key that no queue takes fails after some tries, and keeps nobody waiting."""
        publisher = self.publisher()
        lost = Deferred.fromCoroutine(publisher.publish("nobody.wants", b"x"))
        await publisher.publish(self.op_key, b"y")
        await self.until("given up", lambda: lost.called)
        with self.assertRaises(Unroutable):
            await lost

    async def test_given_up(self):
        """Who cancels a publish leaves no trace of it."""
        publisher = self.publisher(unconfirmed_max=1)
        first = Deferred.fromCoroutine(publisher.publish(self.op_key, b"x"))
        first.addErrback(lambda failure: None)
        first.cancel()
        self.assertEqual(publisher.unconfirmed, 0)
        await publisher.publish(self.op_key, b"y")

    async def test_stopped(self):
        """Who waits when the publisher stops is told that it is not certain."""
        publisher = self.publisher()
        publishing = Deferred.fromCoroutine(publisher.publish(self.op_key, b"x"))
        await publisher.stopService()
        with self.assertRaises(BrokerLost):
            await publishing
        with self.assertRaises(BrokerLost):
            await publisher.publish(self.op_key, b"x")


class BrokerCases(LinkCases, PublisherCases):
    """All cases."""


__all__ = ["BrokerCases", "Topology"]
