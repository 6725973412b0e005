"""The whole: every fault at every gate of all use cases, several seeds, much random load."""

from __future__ import annotations

from tests.acceptance.faults.campaigns import CampaignTestCase
from tests.simulation import probes

SEEDS = 3


class WholeTests(CampaignTestCase):
    """Some ten minutes; SIMULATION_SEEDS sets other numbers of seeds."""

    def test_create(self):
        """A create, by more seeds."""
        self.enumerate("create", SEEDS, first=2)

    def test_start(self):
        """A start."""
        self.enumerate("start", SEEDS)

    def test_stop(self):
        """A stop."""
        self.enumerate("stop", SEEDS)

    def test_resize(self):
        """A resize."""
        self.enumerate("resize", SEEDS)

    def test_console(self):
        """A console."""
        self.enumerate("console", SEEDS)

    def test_delete(self):
        """A delete, by more seeds."""
        self.enumerate("delete", SEEDS, first=2)

    def test_load(self):
        """Random load; every twentieth seed runs twice and must take the same way."""
        self.load("safety", 250, first=1000)
        self.load("liveness", 500, first=1000)
        self.assertEqual(probes.silent(), [])

    def test_messages(self):
        """Every fault at every gate that a message passes, of all use cases."""
        for name in ("create", "start", "stop", "resize", "delete"):
            self.enumerate(name, SEEDS, first=2, messages=True)
