"""What is counted by address."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.rest.address import counted_as


class AddressTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        """An IPv6 host has a whole network of addresses to ask from: the network counts."""
        self.assertEqual(counted_as("192.0.2.7"), "192.0.2.7")
        self.assertEqual(counted_as("::ffff:192.0.2.7"), "192.0.2.7")
        self.assertEqual(counted_as("2001:db8:1:2::9"), counted_as("2001:db8:1:2:f::1"))
        self.assertNotEqual(counted_as("2001:db8:1:2::9"), counted_as("2001:db8:1:3::9"))
        self.assertEqual(counted_as(""), "")
