"""Keeping a link: pauses that grow, and end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.broker.memory import MemoryBroker
from synnefo_tx.ganeti.broker.model import BrokerRefused
from synnefo_tx.ganeti.broker.session import PAUSE_MAX_SECONDS, Session, pause


class PauseTests(SynchronousTestCase):
    """How long to wait."""

    @given(st.integers(0, 10_000), st.floats(0, 1))
    def test_bounds(self, failures, fraction):
        """Every pause is real and bounded, and spread over half of its length."""
        wait = pause(failures, fraction)
        self.assertGreaterEqual(wait, 0.25)
        self.assertLessEqual(wait, PAUSE_MAX_SECONDS)
        self.assertLessEqual(pause(failures, 0), wait)
        self.assertGreaterEqual(pause(failures + 1, fraction), wait)


class SessionTests(SynchronousTestCase):
    """One session on the broker in memory."""

    def setUp(self):
        self.clock = Clock()
        self.broker = MemoryBroker(self.clock)
        self.opened = []
        self.refusing = False
        self.session = Session("test", self.broker, self.prepare, self.clock, bytes)
        self.session.startService()
        self.addCleanup(self.stop)
        self.pump(0.1)

    async def prepare(self, link):
        self.opened.append(self.clock.seconds())
        if self.refusing:
            raise BrokerRefused("406")

    def stop(self):
        self.successResultOf(Deferred.fromCoroutine(self.session.stopService()))

    def pump(self, seconds):
        self.clock.pump([0.01] * round(seconds / 0.01))

    def test_lost(self):
        """After a link that lived a while, the next comes at once; its number is counted."""
        self.assertTrue(self.session.connected)
        self.pump(60)
        self.broker.cut()
        self.assertFalse(self.session.connected)
        self.pump(0.5)
        self.assertTrue(self.session.connected)
        self.assertEqual(self.session.connections, 2)

    def test_refused(self):
        """A broker that refuses what we need is tried again at growing pauses."""
        self.refusing = True
        self.broker.cut()
        self.pump(300)
        gaps = [
            later - sooner for sooner, later in zip(self.opened[1:], self.opened[2:], strict=False)
        ]
        self.assertLess(len(gaps), 30)
        self.assertLess(gaps[0], 3)
        self.assertGreater(gaps[-1], 10)
        self.assertFalse(self.session.connected)
        self.refusing = False
        self.pump(31)
        self.assertTrue(self.session.connected)

    def test_defect(self):
        """A defect in preparing a link is told, and does not end the session."""
        kept, self.opened = self.opened, None
        self.broker.cut()
        self.pump(2)
        self.assertGreater(len(self.flushLoggedErrors(AttributeError)), 0)
        self.opened = kept
        self.pump(31)
        self.assertTrue(self.session.connected)

    def test_stop_without_a_broker(self):
        """A session that looks for a broker stops at once."""
        self.broker.stop()
        self.pump(20)
        self.stop()
        self.broker.start()
        self.pump(60)
        self.assertFalse(self.session.connected)
