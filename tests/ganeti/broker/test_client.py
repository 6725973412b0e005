"""How connections are made."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from synnefo_tx.ganeti.broker.address import parse_all
from synnefo_tx.ganeti.broker.client import AmqpBroker, Trust, from_settings
from synnefo_tx.ganeti.broker.link import LinkLimits
from synnefo_tx.ganeti.broker.model import BrokerLost
from synnefo_tx.settings import BrokerSettings

reactor: Any = _reactor


class Silent(Protocol):
    """Accepts, and says nothing."""

    def connectionMade(self):
        self.factory.accepted.append(self)
        self.factory.count += 1

    def connectionLost(self, reason):
        self.factory.accepted.remove(self)


class SilentPeer(TestCase):
    """A peer on loopback that accepts connections and never answers."""

    timeout = 20

    def setUp(self):
        self.factory = Factory.forProtocol(Silent)
        self.factory.accepted = []
        self.factory.count = 0
        port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(self.leave)
        self.url = f"://me:hidden@127.0.0.1:{port.getHost().port}"

    def leave(self):
        for each in list(self.factory.accepted):
            each.transport.abortConnection()

    def broker(self, *urls, seconds=0.3):
        limits = LinkLimits(connect_seconds=seconds, answer_seconds=seconds)
        return AmqpBroker(reactor, parse_all(urls), Trust(), bytes, limits)

    async def refusal(self, broker):
        with self.assertRaises(BrokerLost) as lost:
            await broker.connect()
        self.assertNotIn("hidden", str(lost.exception))
        return str(lost.exception)


class LimitTests(SilentPeer):
    """A peer that does not answer."""

    async def test_plain_and_tls(self):
        """It is given up within the limit, whatever it should speak."""
        for scheme in ("amqp", "amqps"):
            await self.refusal(self.broker(scheme + self.url))
        self.assertEqual(self.factory.count, 2)
        while self.factory.accepted:
            await deferLater(reactor, 0.01)

    async def test_nobody(self):
        """A port where nobody listens is told as such."""
        port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        url = f"amqp://me:hidden@127.0.0.1:{port.getHost().port}"
        await port.stopListening()
        self.assertIn("refused", await self.refusal(self.broker(url, seconds=5)))


class KeepAliveTests(SilentPeer):
    """The kernel watches connections too."""

    async def test_options(self):
        """Probes begin after 20 seconds, every 2, ten of them."""
        seen = []
        connecting = self.refusal(self.broker("amqp" + self.url, seconds=0.5))
        reactor.callLater(0.2, lambda: seen.extend(self.options()))
        await connecting
        self.assertIn((1, 20, 2, 10), seen)

    def options(self):
        """Those of every connection of this process."""
        for reader in reactor.getReaders():
            handle = getattr(reader, "socket", None)
            if isinstance(handle, socket.socket) and handle.type == socket.SOCK_STREAM:
                yield (
                    int(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) != 0),
                    handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
                    handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL),
                    handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT),
                )


class SettingsTests(TestCase):
    """What settings lead to."""

    def test_none(self):
        """Without a URL there is no broker."""
        self.assertIsNone(from_settings(BrokerSettings(), reactor, bytes))

    def test_wrong(self):
        """A URL or a file that cannot be used is an error without the password."""
        for settings in (
            BrokerSettings(urls=("amqp://me:hidden@broker.example",)),
            BrokerSettings(urls=("amqps://me:hidden@h",), ca_file="/nonexistent"),
            BrokerSettings(urls=("amqps://me:hidden@h",), ca_file=__file__),
        ):
            with self.assertRaises((ValueError, OSError)) as wrong:
                from_settings(settings, reactor, bytes)
            self.assertNotIn("hidden", str(wrong.exception))
            self.assertNotIn("hidden", repr(settings))
