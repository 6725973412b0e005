"""URLs of brokers."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.broker.address import Address, parse, parse_all
from synnefo_tx.ganeti.broker.protocol import Login


class AddressTests(SynchronousTestCase):
    """What an operator may write."""

    def test_whole(self):
        """Every part is taken, with its escapes undone."""
        self.assertEqual(
            parse("amqps://me:p%40ss%2F@broker.example:5999/cloud%2Fone"),
            Address("broker.example", 5999, True, Login("me", "p@ss/", "cloud/one")),
        )

    def test_short(self):
        """Ports, user and virtual host have the usual defaults."""
        for url in ("amqp://h", "amqp://h/"):
            self.assertEqual(parse(url), Address("h", 5672, False, Login("guest", "guest", "/")))
        self.assertEqual(parse("amqps://h").port, 5671)

    def test_no_password_is_told(self):
        """Neither the text of an address nor that of an error holds the password."""
        address = parse("amqp://me:hidden@[::1]/x")
        self.assertEqual(str(address), "amqp://[::1]:5672")
        self.assertNotIn("hidden", repr(address))
        for url in ("http://me:hidden@h", "amqp://me:hidden@h:port", "amqp://me:hidden@h/a/b"):
            error = self.assertRaises(ValueError, parse_all, [url])
            self.assertNotIn("hidden", str(error))
            self.assertIn("URL 1", str(error))

    def test_plain_to_others(self):
        """A password goes without TLS to this machine only, unless the operator says so."""
        url = "amqp://me:hidden@broker.example"
        self.assertRaises(ValueError, parse_all, [url])
        self.assertEqual(len(parse_all([url], plain_allowed=True)), 1)
        self.assertEqual(len(parse_all(["amqp://localhost", "amqp://127.0.0.1", "amqps://h"])), 3)

    def test_none(self):
        """At least one broker is needed."""
        self.assertRaises(ValueError, parse_all, [])

    @given(st.text())
    def test_any_text(self, text):
        """Any text is an address or a ValueError."""
        try:
            parse(text)
        except ValueError:
            return
