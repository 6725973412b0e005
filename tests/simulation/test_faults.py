"""A fault at every gate of the six main use cases."""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.campaign import each
from tests.simulation.faults import USE_CASES, points, run

SEED = "1"
STRIDE = 4
"""Every so manieth statement within a transaction stands for its neighbours; acceptance has all."""


class FaultTests(SynchronousTestCase):
    """Whatever goes wrong wherever: one effect or an error with a reason, and nothing left over."""

    def enumerate(self, name: str) -> None:
        self.addCleanup(self.flushLoggedErrors)
        case = USE_CASES[name]
        runs = (partial(run, case, SEED, point) for point in points(case, SEED, STRIDE))
        self.assertGreater(each(name, runs), 20)

    def test_create(self):
        """A create that is disturbed anywhere makes one server or none, paid and addressed."""
        self.enumerate("create")

    def test_start(self):
        """A start that is disturbed anywhere ends with the server running, or says why not."""
        self.enumerate("start")

    def test_stop(self):
        """A stop that is disturbed anywhere ends with the server stopped, or says why not."""
        self.enumerate("stop")

    def test_resize(self):
        """A resize that is disturbed anywhere gives and charges one of the two sizes."""
        self.enumerate("resize")

    def test_console(self):
        """A console request that is disturbed anywhere changes nothing on the server."""
        self.enumerate("console")

    def test_delete(self):
        """A delete that is disturbed anywhere removes and releases all of a server, or nothing."""
        self.enumerate("delete")


class TraceTests(SynchronousTestCase):
    """A seed tells everything that happens."""

    def tearDown(self) -> None:
        self.flushLoggedErrors()

    def test_same_trace(self):
        """Two runs of a seed have the same trace, statement for statement."""
        for name, case in USE_CASES.items():
            point = next(point for point in points(case, "7", 3) if point.gate > 10)
            digests = {run(case, "7", point).digest for _ in range(2)}
            self.assertEqual(len(digests), 1, name)

    def test_other_trace(self):
        """Another seed takes another way."""
        case = USE_CASES["create"]
        self.assertNotEqual(run(case, "1", None).digest, run(case, "2", None).digest)
