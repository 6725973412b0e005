"""Periodic work, and what the log says of it."""

from __future__ import annotations

import io
import json

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import Logger, LogPublisher
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.log import observer, request_id, valid_level
from synnefo_tx.timers import Periodic


class PeriodicTests(SynchronousTestCase):
    def test_goes_on(self) -> None:
        """A run that fails is logged, and the next one comes."""
        runs = []

        async def work() -> None:
            runs.append(1)
            raise ZeroDivisionError

        clock = Clock()
        timer = Periodic("t", 10, work, clock)
        timer.startService()
        clock.pump([10, 10])
        self.assertEqual((len(runs), timer.failures), (3, 3))
        timer.stopService()
        clock.advance(100)
        self.assertEqual(len(runs), 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_slow(self) -> None:
        """A run that takes long is waited for: runs never overlap, and stopping waits."""
        going: list[Deferred[None]] = []

        async def work() -> None:
            going.append(Deferred())
            await going[-1]

        clock = Clock()
        timer = Periodic("t", 10, work, clock)
        timer.startService()
        clock.advance(100)
        self.assertEqual(len(going), 1)
        stopped = timer.stopService()
        self.assertNoResult(stopped)
        going[0].callback(None)
        self.successResultOf(stopped)


class LogTests(SynchronousTestCase):
    def lines(self, log, level: str = "info") -> list[dict]:
        stream = io.StringIO()
        publisher = LogPublisher(observer(stream, level))
        log(Logger("test", observer=publisher))
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    def test_fields(self) -> None:
        """A line is one JSON object with the event's fields and the request's id."""
        token = request_id.set("req-1")
        (line,) = self.lines(lambda log: log.info("{user} came", user="Ω", count=3))
        request_id.reset(token)
        self.assertEqual((line["message"], line["count"]), ("Ω came", 3))
        self.assertEqual((line["request_id"], line["level"]), ("req-1", "info"))

    def test_forged_line(self) -> None:
        """Line breaks and escape codes in a user's text stay within their line."""
        text = 'x\n{"level": "error"}\r\x1b[31m'
        (line,) = self.lines(lambda log: log.info("{text}", text=text))
        self.assertEqual(line["text"], text)

    def test_level(self) -> None:
        """What is below the level is left out."""
        self.assertEqual(self.lines(lambda log: log.debug("x")), [])
        self.assertEqual(len(self.lines(lambda log: log.debug("x"), "debug")), 1)
        self.assertTrue(valid_level("warn"))
        self.assertFalse(valid_level("loud"))

    def test_traceback(self) -> None:
        """A defect's traceback is a field of its line."""

        def fail(log) -> None:
            try:
                raise KeyError("k")
            except KeyError:
                log.failure("bad")

        (line,) = self.lines(fail)
        self.assertIn("KeyError", line["traceback"])
