"""What runs when no suite is named: faults of create and delete, and some random load."""

from __future__ import annotations

from tests.acceptance.faults.campaigns import CampaignTestCase


class MainTests(CampaignTestCase):
    """A few minutes."""

    def test_create(self):
        """Every fault at every gate of a create."""
        self.enumerate("create", 1)

    def test_delete(self):
        """Every fault at every gate of a delete."""
        self.enumerate("delete", 1)

    def test_load(self):
        """Random load on two controllers and two clusters under random faults."""
        self.load(50)
