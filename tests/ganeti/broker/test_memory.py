"""The broker in memory passes the suite that RabbitMQ passes; and its faults."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from synnefo_tx.ganeti.broker.memory import BrokerFault, MemoryBroker, matches
from synnefo_tx.ganeti.broker.model import BrokerLost
from synnefo_tx.ganeti.broker.topology import Topology, declare
from tests.ganeti.broker import cases

STEP_SECONDS = 0.001
PUMP_STEPS = 200_000


class PumpedTestCase(TestCase):
    """A test whose clock runs as fast as it can while something is awaited."""

    def setUp(self):
        self.clock = Clock()
        self.broker = MemoryBroker(self.clock)
        self.topology = Topology()

    def run_test(self, work):
        """Advance the clock until ``work`` has ended."""
        running = Deferred.fromCoroutine(work)
        for _ in range(PUMP_STEPS):
            if running.called:
                return running
            self.clock.advance(STEP_SECONDS)
        raise AssertionError("it does not end")

    async def sleep(self, seconds):
        """Let the pump work for so long."""
        passed = Deferred()
        self.clock.callLater(seconds, passed.callback, None)
        await passed

    async def link(self):
        link = await self.broker.connect()
        self.addCleanup(self.broker.cut)
        await declare(link, self.topology)
        return link

    async def restart(self):
        self.broker.stop()
        await self.sleep(5)
        self.broker.start()


def pumped(cls):
    """Have every coroutine test of a class run under the pump."""
    for name in dir(cls):
        if name.startswith("test_"):
            method = getattr(cls, name)

            def run(self, method=method):
                return self.run_test(method(self))

            run.__doc__ = method.__doc__
            setattr(cls, name, run)
    return cls


@pumped
class MemoryBrokerTests(PumpedTestCase, cases.BrokerCases):
    """The broker in memory."""


@pumped
class FaultTests(PumpedTestCase, cases.BrokerSupport):
    """What may go wrong on order."""

    async def bodies(self, *kinds):
        """What arrives of messages 0 to 3, of which the first meet faults."""
        link = await self.link()
        received = []
        await link.consume(self.op_queue, 64, received.append)
        self.broker.faults += [BrokerFault(kind) for kind in kinds]
        for n in range(4):
            await link.publish(self.message(b"%d" % n))
        await self.sleep(0.1)
        return b"".join(each.body for each in received)

    async def test_duplicate(self):
        """A message arrives twice."""
        self.assertEqual(await self.bodies("duplicate"), b"00123")

    async def test_reorder(self):
        """A message arrives after the next one."""
        self.assertEqual(await self.bodies("reorder"), b"1023")

    async def test_lose(self):
        """A message is confirmed and lost."""
        self.assertEqual(await self.bodies("lose", "lose"), b"23")

    async def test_unconfirmed(self):
        """A message arrives, but its publisher does not learn it."""
        link = await self.link()
        self.broker.faults.append(BrokerFault("unconfirmed"))
        with self.assertRaises(BrokerLost):
            await link.publish(self.message(b"x"))
        self.assertEqual(self.broker.length(self.op_queue), 1)

    async def test_cut(self):
        """A message does not arrive, and its publisher learns that this is not certain."""
        link = await self.link()
        self.broker.faults.append(BrokerFault("cut"))
        with self.assertRaises(BrokerLost):
            await link.publish(self.message(b"x"))
        self.assertEqual(self.broker.length(self.op_queue), 0)


class TopicTests(SynchronousTestCase):
    """Which keys a binding takes."""

    def test_patterns(self):
        """A star is one word, a hash any number of them."""
        for pattern, key, expected in (
            ("a.b", "a.b", True),
            ("a.*", "a.b", True),
            ("a.*", "a", False),
            ("a.*", "a.b.c", False),
            ("#", "", True),
            ("#", "a.b.c", True),
            ("a.#", "a", True),
            ("#.c", "a.b.c", True),
            ("#.c", "a.b.d", False),
        ):
            self.assertEqual(matches(pattern, key), expected, (pattern, key))
