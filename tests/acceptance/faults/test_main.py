"""What runs when no suite is named: faults of create and delete, and some random load."""

from __future__ import annotations

from tests.acceptance.faults.campaigns import CampaignTestCase
from tests.simulation import probes

SEEDS_MAX = 160


class MainTests(CampaignTestCase):
    """A few minutes."""

    def test_create(self):
        """Every fault at every gate of a create."""
        self.enumerate("create", 1)

    def test_delete(self):
        """Every fault at every gate of a delete."""
        self.enumerate("delete", 1)

    def test_load(self):
        """Random load on two clusters under random faults, and every rare branch is come to.

        Which seeds come to the rarest (one in thirteen) changes with every change of the code.
        """
        self.load("safety", 30)
        self.load("liveness", 40)
        for first in range(40, SEEDS_MAX, 10):
            if not probes.silent():
                break
            self.load("liveness", 10, first=first)
        self.assertEqual(probes.silent(), [])

    def test_messages(self):
        """Every fault at every gate that a message passes."""
        self.enumerate("create", 1, messages=True)
        self.enumerate("delete", 1, messages=True)
