"""The campaigns that the suites are made of."""

from __future__ import annotations

import os
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation import load
from tests.simulation.campaign import each
from tests.simulation.faults import USE_CASES, points, run

SEEDS = "SIMULATION_SEEDS"
REPEATED = 20


class CampaignTestCase(SynchronousTestCase):
    """A test of many runs."""

    def tearDown(self) -> None:
        self.flushLoggedErrors()

    def enumerate(self, name: str, seeds: int, *, first: int = 1) -> None:
        """Every fault at every gate of a use case, for some seeds."""
        case = USE_CASES[name]
        for number in range(first, first + int(os.environ.get(SEEDS, seeds))):
            seed = str(number)
            runs = (partial(run, case, seed, point) for point in points(case, seed, stride=1))
            self.assertGreater(each(f"{name}, seed {seed}", runs), 20)
            self.flushLoggedErrors()

    def load(self, seeds: int, *, first: int = 0) -> None:
        """Random load by some seeds."""
        numbers = range(first, first + int(os.environ.get(SEEDS, seeds)))
        each("load", (partial(self._load, number) for number in numbers))

    def _load(self, number: int) -> None:
        digest = load.run(str(number)).digest
        if number % REPEATED == 0:
            self.assertEqual(load.run(str(number)).digest, digest, f"seed {number}")
        self.flushLoggedErrors()
