"""How the site sees its peers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.faults import Forbidden
from synnefo_tx.rest.request import check_transport

PROXIES = ("192.0.2.1",)


class TransportTests(SynchronousTestCase):
    def test_plain_http(self) -> None:
        """Plain HTTP is taken from listed proxies and this machine, TLS from everybody."""
        for peer, secure in (("192.0.2.1", False), ("127.0.0.1", False), ("192.0.2.9", True)):
            check_transport(peer, secure, PROXIES)
        self.assertRaises(Forbidden, check_transport, "192.0.2.9", False, PROXIES)
        check_transport("127.0.0.1", False, ())
