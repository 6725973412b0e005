"""What failed log-ins are counted by."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.identity.tokens.failures import address_of


class AddressTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        """An IPv6 host has a whole network of addresses to fail from: the network counts."""
        self.assertEqual(address_of("192.0.2.7"), "192.0.2.7")
        self.assertEqual(address_of("::ffff:192.0.2.7"), "192.0.2.7")
        self.assertEqual(address_of("2001:db8:1:2::9"), address_of("2001:db8:1:2:f::1"))
        self.assertNotEqual(address_of("2001:db8:1:2::9"), address_of("2001:db8:1:3::9"))
        self.assertEqual(address_of(""), "")
