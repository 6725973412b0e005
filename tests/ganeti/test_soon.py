"""Work that hints ask for."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.model import RapiRefused
from synnefo_tx.ganeti.soon import Soon


class SoonTests(SynchronousTestCase):
    """At most one run of a backend is under way, and one waits."""

    def setUp(self):
        self.clock = Clock()
        self.runs = []
        self.answer = lambda: succeed(None)
        self.soon = Soon("a look", self.work, self.clock, 0.5)

    async def work(self, backend):
        self.runs.append(backend)
        await self.answer()

    def test_many_at_once(self):
        """Many hints lead to one run, after the pause."""
        for _ in range(100):
            self.soon.ask(1)
        self.assertEqual(self.runs, [])
        self.clock.advance(0.5)
        self.assertEqual(self.runs, [1])
        self.clock.pump([1] * 10)
        self.assertEqual(self.runs, [1])

    def test_during_a_run(self):
        """Hints during a run lead to one more, after it."""
        going = Deferred()
        self.answer = lambda: going
        self.soon.ask(1)
        self.clock.advance(0.5)
        for _ in range(100):
            self.soon.ask(1)
        self.clock.pump([1] * 10)
        self.assertEqual(self.runs, [1])
        self.answer = lambda: succeed(None)
        going.callback(None)
        self.clock.pump([1] * 10)
        self.assertEqual(self.runs, [1, 1])

    def test_backends_alone(self):
        """A cluster that hangs delays only itself."""
        self.answer = Deferred
        self.soon.ask(1)
        self.clock.advance(0.5)
        self.soon.ask(2)
        self.clock.advance(0.5)
        self.assertEqual(self.runs, [1, 2])

    def test_failure(self):
        """A run that fails is told, and the next hint leads to another."""
        for failure, logged in ((RapiRefused("offline"), 0), (ZeroDivisionError(), 1)):
            self.answer = lambda failure=failure: self.fails(failure)
            self.soon.ask(1)
            self.clock.advance(0.5)
            self.assertEqual(len(self.flushLoggedErrors()), logged)
        self.assertEqual(self.runs, [1, 1])

    def fails(self, failure):
        raise failure

    def test_stop(self):
        """What waits and what is under way are given up."""
        self.answer = Deferred
        self.soon.ask(1)
        self.clock.advance(0.5)
        self.soon.ask(1)
        self.soon.ask(2)
        self.successResultOf(Deferred.fromCoroutine(self.soon.stop()))
        self.clock.pump([1] * 5)
        self.assertEqual(self.runs, [1])
