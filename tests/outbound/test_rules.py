"""Which URLs have the right form, and which addresses are of the world."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.outbound import rules
from synnefo_tx.outbound.model import UrlRefused
from synnefo_tx.outbound.rules import Allowance, is_public, may_ask, networks, target

USUAL = Allowance(ports=frozenset((80, 443)))

REFUSED_FORMS = [
    "", "example.org", "//example.org", "file:///etc/passwd", "file://localhost/etc/passwd",
    "filesystem:///var/images/1", "gopher://example.org/", "ftp://example.org/", "dict://x.org/",
    "javascript:alert(1)", "http:example.org", "http:///path", "https://", "http:/example.org",
    "/var/lib/images/1", "http://user@example.org/", "http://user:word@example.org/",
    "http://example.org@10.0.0.1/", "http://10.0.0.1\\@example.org/", "http:\\\\example.org",
    "http://example.org:0/", "http://example.org:/", "http://example.org:080/",
    "http://example.org:99999/", "http://example.org:22/", "http://example.org:8080/",
    "http://example.org/#fragment", "http://exa mple.org/", "http://example.org/a b",
    "http://example.org/\r\nHost: x", "http://example.org/\u2028", " http://example.org/",
    "http://example..org/", "http://.example.org/", "http://example.org../", "http://-a.org/",
    "http://a_b.org/", "http://a%2eb.org/", "http://[::1%25eth0]/", "http://[fe80::1%eth0]/",
    "http://[::1/", "http://::1/", "http://[1.2.3.4]/", "http://[::g]/", "http://[]/",
    "http://" + "a" * 64 + ".org/", "http://" + "a." * 130 + "org/", "http://x.org/" + "a" * 2100,
    # Addresses in forms that only some parsers take for one.
    "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://127.1/", "http://127.0.1",
    "http://0177.0.0.1/", "http://127.0.0.01/", "http://1.2.3.4.5/", "http://256.1.1.1/",
    "http://0x7f.0x0.0x0.0x1/", "http://017700000001/", "http://1.2.3.4../", "http://a.0x/",
    "http://①②⑦.①/", "http://a..①/", "http://\u2024/", "http://xn--a/\x00",
]  # fmt: skip

# What a URL may name and may not be connected to.
INNER = [
    "127.0.0.1", "127.255.255.254", "0.0.0.1", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.1",
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "192.88.99.1",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1",
    "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:2::1",
    "2001:10::1", "2001:db8::1", "2002:7f00:1::", "2002:a00:1::1", "3fff::1", "5f00::1",
    "fc00::1", "fd12:3456::1", "fe80::1", "fec0::1", "ff02::1", "fe80::1%eth0",
    "2606:4700::1%eth0",
]  # fmt: skip
PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "2a00::1"]


class FormTests(SynchronousTestCase):
    def test_refused(self) -> None:
        """What is no plain http or https URL of a host is refused by its form, whatever parsers
        make of it."""
        for url in REFUSED_FORMS:
            with self.assertRaises(UrlRefused, msg=url):
                target(url, USUAL)

    def test_accepted(self) -> None:
        """Usual URLs come out in one spelling."""
        for url, expected in (
            ("http://example.org", "http://example.org/"),
            ("HTTPS://Example.ORG./A?b=c", "https://example.org/A?b=c"),
            ("http://example.org?b", "http://example.org/?b"),
            ("https://example.org:443/", "https://example.org/"),
            ("http://example.org:443/", "http://example.org:443/"),
            ("http://ελλάδα.gr/", "http://xn--hxakic4aa.gr/"),
            ("http://EXAMPLE\u3002org/", "http://example.org/"),
            ("http://8.8.8.8./x", "http://8.8.8.8/x"),
            ("http://[2606:4700:0::1]/", "http://[2606:4700::1]/"),
            ("http://1and1.com/", "http://1and1.com/"),
        ):
            self.assertEqual(target(url, USUAL).url, expected, url)

    def test_unicode_digits(self) -> None:
        """Digits of other scripts that become an address are one."""
        for url in ("http://１２７.0.0.1/", "http://①.②.③.④/"):
            found = target(url, USUAL)
            self.assertIsInstance(found.address, IPv4Address, url)

    def test_hosts(self) -> None:
        """A list of hosts bounds names: whole ones, or all below one; look-alikes are others."""
        bounded = Allowance(frozenset((80,)), hosts=frozenset(("a.org", ".b.org")))
        for host, accepted in (
            ("a.org", True), ("A.org.", True), ("x.b.org", True), ("y.x.b.org", True),
            ("b.org", False), ("xa.org", False), ("x.a.org", False), ("xb.org", False),
            ("8.8.8.8", False), ("a.org.evil.org", False),
        ):  # fmt: skip
            try:
                target(f"http://{host}/", bounded)
            except UrlRefused:
                self.assertFalse(accepted, host)
            else:
                self.assertTrue(accepted, host)

    @given(st.text(max_size=60))
    def test_any_text(self, text: str) -> None:
        """Whatever is given is a target in its one spelling, or refused; never another error."""
        for url in (text, f"http://{text}", f"https://{text}/", f"http://example.org/{text}"):
            try:
                found = target(url, USUAL)
            except UrlRefused:
                continue
            self.assertEqual(target(found.url, USUAL), found)
            self.assertTrue(found.url.isascii() and found.url.isprintable())

    @given(st.integers(0, 2**32 - 1))
    def test_spellings(self, number: int) -> None:
        """Of all spellings of an IPv4 address one counts; no other leads to it."""
        address = IPv4Address(number)
        self.assertEqual(target(f"http://{address}/", USUAL).address, address)
        parts = str(address).split(".")
        for spelling in (
            str(number), hex(number), oct(number).replace("o", ""),
            ".".join(map(hex, map(int, parts))), ".".join(f"0{each}" for each in parts),
            f"{parts[0]}.{number & 0xFFFFFF}", f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
        ):  # fmt: skip
            with self.assertRaises(UrlRefused, msg=spelling):
                target(f"http://{spelling}/", USUAL)


class AddressTests(SynchronousTestCase):
    def test_inner(self) -> None:
        """No address of a special range may be asked; those of the world may."""
        for text in INNER:
            self.assertFalse(may_ask(ip_address(text), USUAL), text)
        for text in PUBLIC:
            self.assertTrue(may_ask(ip_address(text), USUAL), text)

    def test_networks(self) -> None:
        """The operator may allow a network, and deny one; denied is stronger."""
        own = Allowance(
            frozenset((80,)),
            networks=networks(["10.1.0.0/16", "fd00::/8"]),
            denied_networks=networks(["10.1.2.0/24", "8.8.0.0/16"]),
        )
        for text, allowed in (
            ("10.1.1.1", True), ("10.2.1.1", False), ("10.1.2.3", False), ("8.8.8.8", False),
            ("1.1.1.1", True), ("fd00::1", True), ("fc00::1", False), ("::ffff:10.1.1.1", False),
        ):  # fmt: skip
            self.assertEqual(may_ask(ip_address(text), own), allowed, text)

    @given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
    def test_no_weaker_than_the_library(self, address: IPv4Address | IPv6Address) -> None:
        """What Python's library calls private, reserved, local or multicast is not public."""
        special = (
            address.is_private or address.is_reserved or address.is_loopback
            or address.is_link_local or address.is_multicast or address.is_unspecified
        )  # fmt: skip
        if special:
            self.assertFalse(is_public(address), address)

    @given(st.ip_addresses(v=4))
    def test_embedded(self, inner: IPv4Address) -> None:
        """An IPv4 address inside an IPv6 one leads nowhere: mapped, compatible, NAT64, 6to4,
        Teredo."""
        number = int(inner)
        for outer in (
            IPv6Address(0xFFFF << 32 | number),
            IPv6Address(number),
            IPv6Address((0x64FF9B << 96) | number),
            IPv6Address((0x2002 << 112) | (number << 80) | 1),
            IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF)),
        ):
            self.assertFalse(is_public(outer), outer)

    def test_edges(self) -> None:
        """The first and last address of every special network are in it, their neighbours are
        not."""
        for network in rules.SPECIAL_IPV4:
            self.assertFalse(is_public(network[0]))
            self.assertFalse(is_public(network[-1]))
        for text in (
            "9.255.255.255",
            "11.0.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "223.255.255.255",
        ):
            self.assertTrue(is_public(IPv4Address(text)), text)
