"""Random load in a world of messages; acceptance has more of it."""

from __future__ import annotations

from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation import load
from tests.simulation.campaign import each
from tests.simulation.faults import USE_CASES, points, run

SAFETY_SEEDS = 6
LIVENESS_SEEDS = 8
FOLLOWED_SEEDS = 5


class LoadTests(SynchronousTestCase):
    """Controllers, clusters and a broker under faults."""

    def tearDown(self) -> None:
        self.flushLoggedErrors()

    def test_safety(self):
        """Whatever goes wrong and does not heal, no commit breaks an invariant."""
        each("safety", (partial(load.run, str(n), "safety") for n in range(SAFETY_SEEDS)))

    def test_liveness(self):
        """When faults end, all comes to rest, exact, with nothing left over."""
        each("liveness", (partial(load.run, str(n)) for n in range(LIVENESS_SEEDS)))

    def test_followers(self):
        """Who polls for changes, and who follows the stream from controller to controller, know in
        the end what lists show."""
        seeds = (f"followed {number}" for number in range(FOLLOWED_SEEDS))
        each("followed", (partial(load.run, seed, follows=True) for seed in seeds))

    def test_same_trace(self):
        """Two runs of a seed have the same trace, messages too."""
        for mode in ("safety", "liveness"):
            self.assertEqual(load.run("7", mode).digest, load.run("7", mode).digest, mode)

    def test_messages(self):
        """A start whose messages are lost, doubled or cut off anywhere ends as it should."""
        case = USE_CASES["start"]
        runs = (
            partial(run, case, "1", point, messages=True)
            for point in points(case, "1", stride=1, messages=True)
        )
        self.assertGreater(each("start with messages", runs), 20)
