"""The campaigns that the suites are made of."""

from __future__ import annotations

import os
from functools import partial

from twisted.trial.unittest import SynchronousTestCase

from tests.simulation import load
from tests.simulation.campaign import each
from tests.simulation.faults import USE_CASES, points, run
from tests.simulation.load import Mode

SEEDS = "SIMULATION_SEEDS"
REPEATED = 20


class CampaignTestCase(SynchronousTestCase):
    """A test of many runs."""

    def tearDown(self) -> None:
        self.flushLoggedErrors()

    def enumerate(self, name: str, seeds: int, *, first: int = 1, messages: bool = False) -> None:
        """Every fault at every gate of a use case, for some seeds; with ``messages`` at those
        that messages pass."""
        case = USE_CASES[name]
        for number in range(first, first + int(os.environ.get(SEEDS, seeds))):
            seed = str(number)
            runs = (
                partial(run, case, seed, point, messages=messages)
                for point in points(case, seed, stride=1, messages=messages)
            )
            title = f"{name}{' with messages' if messages else ''}, seed {seed}"
            self.assertGreater(each(title, runs), 20)
            self.flushLoggedErrors()

    def load(self, mode: Mode, seeds: int, *, first: int = 0) -> None:
        """Random load by some seeds."""
        numbers = range(first, first + int(os.environ.get(SEEDS, seeds)))
        each(f"load, {mode}", (partial(self._load, mode, number) for number in numbers))

    def _load(self, mode: Mode, number: int) -> None:
        digest = load.run(str(number), mode).digest
        if number % REPEATED == 0:
            self.assertEqual(load.run(str(number), mode).digest, digest, f"seed {number}")
        self.flushLoggedErrors()
