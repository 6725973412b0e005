"""What anybody may ask of a process."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.operation.health import ASK_LIMIT_SECONDS, Health


class HealthTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.health = Health(self.clock)
        self.asked: list[Deferred[str]] = []
        self.health.add("part", self.answer)

    async def answer(self) -> str:
        self.asked.append(Deferred())
        return await self.asked[-1]

    def report(self) -> Deferred:
        return Deferred.fromCoroutine(self.health.report())

    def test_flood(self) -> None:
        """However many ask at once, each part is asked once; one who goes away takes nobody's
        answer along; who asks later has a new one."""
        first, second, third = (self.report() for _ in range(3))
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.asked[0].callback("fine")
        for each in (second, third):
            self.assertEqual(self.successResultOf(each)[0].text, "fine")
        self.assertEqual(len(self.asked), 1)
        later = self.report()
        self.asked[1].callback("better")
        self.assertEqual(self.successResultOf(later)[0].text, "better")

    def test_silent(self) -> None:
        """A part that does not answer is not well, and is asked anew by the next."""
        asking = self.report()
        self.clock.advance(ASK_LIMIT_SECONDS)
        (part,) = self.successResultOf(asking)
        self.assertEqual((part.ok, part.text), (False, "no answer within 2 s"))
        self.report()
        self.assertEqual(len(self.asked), 2)
