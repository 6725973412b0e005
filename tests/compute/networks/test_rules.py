"""What a network, its name and its subnet may be."""

from __future__ import annotations

from ipaddress import IPv4Network

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.compute.networks.rules import check_cidr, check_gateway, check_name
from synnefo_tx.faults import BadRequest, RequestEntityTooLarge


class SubnetTests(SynchronousTestCase):
    def test_taken(self) -> None:
        """A range of addresses between the shortest prefix and /29."""
        for text in ("192.168.0.0/24", "10.0.0.0/22", "172.16.0.8/29"):
            self.assertEqual(check_cidr(text, 22), IPv4Network(text))

    def test_no_range(self) -> None:
        """Host bits, half addresses and what is no IPv4 range are a 400 that names the field."""
        for text in (
            "192.168.0.1/24",
            "10.0/8",
            "::/64",
            "0",
            "",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "x",
        ):
            found = self.assertRaises(BadRequest, check_cidr, text, 22)
            self.assertIn("cidr", str(found))

    def test_size(self) -> None:
        """All addresses there are, more than the settings allow, and too few for hosts are a 413
        (SEC36)."""
        for text in ("0.0.0.0/0", "10.0.0.0/21", "10.0.0.0/30", "10.0.0.1", "10.0.0.1/32"):
            self.assertRaises(RequestEntityTooLarge, check_cidr, text, 22)

    def test_gateway(self) -> None:
        """A gateway is a host within the range; network and broadcast addresses are none."""
        network = IPv4Network("192.168.0.0/24")
        self.assertEqual(check_gateway(network, "192.168.0.254"), "192.168.0.254")
        self.assertIsNone(check_gateway(network, None))
        for text in ("192.168.1.1", "192.168.0.0", "192.168.0.255", "::1", "gateway", ""):
            self.assertRaises(BadRequest, check_gateway, network, text)

    @given(some.text(max_size=30))
    def test_any_text(self, text: str) -> None:
        """Any text is a range within the bounds or a fault."""
        try:
            found = check_cidr(text, 22)
        except (BadRequest, RequestEntityTooLarge):
            return
        self.assertTrue(22 <= found.prefixlen <= 29)


class NameTests(SynchronousTestCase):
    def test_names(self) -> None:
        """A name is short and holds nothing that a line of a file could end with (SEC38)."""
        self.assertEqual(check_name("ένα δίκτυο ✓"), "ένα δίκτυο ✓")
        for name in ("x" * 129, "a\nb", "a\rb", "a\x00b", "a\x1bb", "a\x7fb"):
            self.assertRaises(BadRequest, check_name, name)
