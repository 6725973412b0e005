"""The consumer: what it takes, settles, keeps and gives up."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.broker.consumer import BATCH_MAX, Consumer
from synnefo_tx.ganeti.broker.memory import MemoryBroker
from synnefo_tx.ganeti.broker.model import Message, Outcome
from synnefo_tx.ganeti.broker.topology import DEAD, Topology

STEP_SECONDS = 0.001


class ConsumerTests(SynchronousTestCase):
    """One consumer on the broker in memory; the test plays those who apply."""

    def setUp(self):
        self.clock = Clock()
        self.broker = MemoryBroker(self.clock)
        self.topology = Topology()
        [self.queue, *_] = self.topology.keys
        self.batches = []
        self.answer = lambda bodies: succeed([Outcome.APPLIED] * len(bodies))
        self.consumer = self.begin()

    def begin(self):
        consumer = Consumer(self.broker, self.topology, self.apply, self.clock, bytes)
        consumer.startService()
        self.addCleanup(self.stop, consumer)
        self.pump(1)
        return consumer

    def stop(self, consumer):
        if consumer.running:
            stopping = Deferred.fromCoroutine(consumer.stopService())
            self.pump(10)
            self.successResultOf(stopping)

    async def apply(self, deliveries):
        bodies = [each.body for each in deliveries]
        self.batches.append(bodies)
        return await self.answer(bodies)

    def pump(self, seconds):
        self.clock.pump([STEP_SECONDS] * round(seconds / STEP_SECONDS))

    def publish(self, *bodies, seconds=1.0):
        key = self.topology.keys[self.queue]
        publishing = Deferred.fromCoroutine(self._publish(key, bodies))
        self.pump(seconds)
        self.successResultOf(publishing)

    async def _publish(self, key, bodies):
        link = await self.broker.connect()
        for body in bodies:
            await link.publish(Message(self.topology.exchange, key, body))
        await link.close()

    @property
    def seen(self):
        return [body for batch in self.batches for body in batch]

    def held(self):
        return sum(len(each._held) for each in self.broker.links)

    def assert_rests(self, dead=0):
        """Nothing is unsettled or waits; so many are dead."""
        self.assertEqual((self.held(), self.broker.length(self.queue)), (0, 0))
        self.assertEqual(self.broker.length(self.queue + DEAD), dead)
        self.assertEqual(self.consumer.in_flight, 0)

    def test_applied(self):
        """What is applied is acknowledged."""
        self.publish(b"a", b"b")
        self.assertEqual(self.seen, [b"a", b"b"])
        self.assert_rests()
        self.assertEqual(self.consumer.counts[Outcome.APPLIED], 2)

    def test_batches(self):
        """While one batch is applied the next gathers, of a bounded size; each message once."""
        going = Deferred()
        self.answer = lambda bodies: going.addCallback(lambda _: [Outcome.APPLIED] * len(bodies))
        bodies = [b"%d" % n for n in range(100)]
        self.publish(*bodies)
        self.assertEqual(len(self.batches), 1)
        self.assertLessEqual(self.consumer.in_flight, 64)
        self.answer = lambda bodies: succeed([Outcome.APPLIED] * len(bodies))
        going.callback(None)
        self.pump(1)
        self.assertEqual(self.seen, bodies)
        self.assertEqual(max(map(len, self.batches)), BATCH_MAX)
        self.assert_rests()

    def test_dead(self):
        """What cannot be applied is in the dead letters, its neighbours are not."""
        self.answer = lambda bodies: succeed(
            [Outcome.DEAD if body == b"bad" else Outcome.APPLIED for body in bodies]
        )
        self.publish(b"a", b"bad", b"b")
        self.assert_rests(dead=1)

    def test_defect(self):
        """An error of those who apply costs the message, not the consumer."""
        self.answer = lambda bodies: 1 / 0
        self.publish(b"a")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.answer = lambda bodies: succeed([Outcome.APPLIED] * len(bodies))
        self.publish(b"b")
        self.assert_rests(dead=1)

    def test_database_away(self):
        """While nothing can be done, messages are kept and tried again at growing pauses; none
        is lost, and none goes to the dead letters."""
        self.answer = lambda bodies: succeed([Outcome.LATER] * len(bodies))
        self.publish(b"a", b"b", seconds=60)
        self.assertLess(len(self.batches), 12)
        self.assertGreater(len(self.batches), 3)
        self.assertEqual(self.broker.length(self.queue + DEAD), 0)
        self.answer = lambda bodies: succeed([Outcome.APPLIED] * len(bodies))
        self.pump(31)
        self.assert_rests()
        self.assertEqual(self.consumer.counts[Outcome.APPLIED], 2)

    def test_one_waits(self):
        """A message that has to wait does not hold up the others, and is not acknowledged with
        them."""
        self.answer = lambda bodies: succeed(
            [Outcome.LATER if body == b"slow" else Outcome.APPLIED for body in bodies]
        )
        self.publish(b"slow", b"a", b"b", seconds=0.5)
        self.publish(b"c", seconds=5)
        self.assertEqual(self.consumer.counts[Outcome.APPLIED], 3)
        self.assertEqual(self.held(), 1)
        self.answer = lambda bodies: succeed([Outcome.APPLIED] * len(bodies))
        self.pump(31)
        self.assert_rests()

    def test_connection_lost(self):
        """What was not settled when a connection is lost is delivered again over the next."""
        going = Deferred()
        self.answer = lambda bodies: going
        self.publish(b"a", b"b")
        self.broker.cut()
        self.answer = lambda bodies: succeed([Outcome.APPLIED] * len(bodies))
        going.callback([Outcome.APPLIED] * len(self.batches[0]))
        self.pump(2)
        self.assertEqual(sorted(set(self.seen)), [b"a", b"b"])
        self.assertEqual(self.consumer.session.connections, 2)
        self.assert_rests()

    def test_broker_away(self):
        """A consumer survives a broker that is away for minutes."""
        self.broker.stop()
        self.pump(180)
        self.assertFalse(self.consumer.session.connected)
        self.broker.start()
        self.pump(31)
        self.publish(b"a")
        self.assertEqual(self.seen, [b"a"])

    def test_stop(self):
        """A consumer that stops settles what is under way; the rest stays in the queue."""
        going = Deferred()
        self.answer = lambda bodies: going
        self.publish(*[b"%d" % n for n in range(40)])
        stopping = Deferred.fromCoroutine(self.consumer.stopService())
        self.pump(0.1)
        self.assertNoResult(stopping)
        count = len(self.batches[0])
        going.callback([Outcome.APPLIED] * count)
        self.pump(1)
        self.successResultOf(stopping)
        self.assertEqual(len(self.batches), 1)
        self.assertEqual(self.broker.length(self.queue), 40 - count)

    def test_stop_in_vain(self):
        """A consumer stops within a limit, though what is under way does not end."""
        self.answer = lambda bodies: Deferred()
        self.publish(b"a")
        stopping = Deferred.fromCoroutine(self.consumer.stopService())
        self.pump(6)
        self.successResultOf(stopping)
        self.assertEqual(self.broker.length(self.queue), 1)

    def test_stop_while_resting(self):
        """A consumer that waits for the database stops at once."""
        self.answer = lambda bodies: succeed([Outcome.LATER] * len(bodies))
        self.publish(b"a", seconds=20)
        stopping = Deferred.fromCoroutine(self.consumer.stopService())
        self.pump(0.1)
        self.successResultOf(stopping)
