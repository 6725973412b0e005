"""Connects to one of several brokers: in turn, from a random start, verified and within limits."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import (
    PrivateCertificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.logger import Logger
from twisted.protocols.policies import ProtocolWrapper

from synnefo_tx.authorities import read_authorities
from synnefo_tx.ganeti.broker.address import Address, parse_all
from synnefo_tx.ganeti.broker.link import AmqpLink, LinkLimits
from synnefo_tx.ganeti.broker.model import BrokerLost
from synnefo_tx.ganeti.broker.protocol import AmqpProtocol
from synnefo_tx.ganeti.tls import VerifiedEndpoint
from synnefo_tx.settings import BrokerSettings

# ganeti-backend reference §6, "Keepalive".
KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 20),
    (socket.TCP_KEEPINTVL, 2),
    (socket.TCP_KEEPCNT, 10),
)

Entropy = Callable[[int], bytes]


@frozen
class Trust:
    """Whom we believe to be a broker, and what we show; PEM texts, empty for the platform's
    authorities and no certificate of ours."""

    authorities_pem: str = field(default="", repr=False)
    certificate_and_key_pem: str = field(default="", repr=False)


def read_trust(ca_file: str, certificate_file: str, key_file: str) -> Trust:
    """Read what settings name. Raises ValueError, OSError."""
    authorities = Path(ca_file).read_text() if ca_file else ""
    if authorities:
        read_authorities(authorities)
    names = [name for name in (key_file, certificate_file) if name]
    return Trust(authorities, "\n".join(Path(name).read_text() for name in names))


def from_settings(
    settings: BrokerSettings, reactor: IReactorTime, entropy: Entropy
) -> AmqpBroker | None:
    """The brokers that settings name, None if they name none. Raises ValueError, OSError."""
    if not settings.urls:
        return None
    return AmqpBroker(
        reactor,
        parse_all(settings.urls, plain_allowed=settings.plain_allowed),
        read_trust(settings.ca_file, settings.certificate_file, settings.key_file),
        entropy,
        LinkLimits(heartbeat_seconds=settings.heartbeat_seconds),
    )


class AmqpBroker:
    """See ``Broker``: each call of ``connect`` goes to the next address."""

    log = Logger()

    def __init__(
        self,
        reactor: IReactorTime,
        addresses: Sequence[Address],
        trust: Trust,
        entropy: Entropy,
        limits: LinkLimits | None = None,
    ) -> None:
        self._reactor = reactor
        self._addresses = list(addresses)
        self._trust = trust
        self._limits = limits or LinkLimits()
        self._next = int.from_bytes(entropy(4), "big") % len(self._addresses)

    async def connect(self) -> AmqpLink:
        """A link to the next broker. Raises BrokerLost or BrokerRefused."""
        address = self._addresses[self._next]
        self._next = (self._next + 1) % len(self._addresses)
        opening = Deferred.fromCoroutine(self._open(address))
        limit = self._limits.connect_seconds
        try:
            link = await opening.addTimeout(limit, self._reactor)
        except (TimeoutError, ConnectingCancelledError):
            # The second is what a connection raises that is given up before it is there.
            raise BrokerLost(f"{address}: no connection within {limit} s") from None
        except (ConnectError, DNSLookupError, OSError) as error:
            raise BrokerLost(f"{address}: {error}") from error
        self.log.info("connected to {broker}", broker=str(address))
        return link

    async def _open(self, address: Address) -> AmqpLink:
        protocol = AmqpProtocol(address.login, self._limits.heartbeat_seconds, self._reactor)
        factory = Factory.forProtocol(lambda: protocol)
        factory.noisy = False
        await self._endpoint(address).connect(factory)
        keep_alive(protocol.transport)
        link = AmqpLink(protocol, str(address), self._limits, self._reactor)
        try:
            await link.open()
        except BaseException:
            protocol.fail("given up")
            raise
        return link

    def _endpoint(self, address: Address) -> IStreamClientEndpoint:
        limit = self._limits.connect_seconds
        if address.tls:
            target = (address.host, address.port)
            return VerifiedEndpoint(self._reactor, target, self._verification(address.host), limit)
        return HostnameEndpoint(self._reactor, address.host.encode(), address.port, timeout=limit)

    def _verification(self, host: str) -> Any:
        trust = self._trust
        authorities: Any = platformTrust()
        if trust.authorities_pem:
            authorities = trustRootFromCertificates(read_authorities(trust.authorities_pem))
        own = None
        if trust.certificate_and_key_pem:
            own = PrivateCertificate.loadPEM(trust.certificate_and_key_pem.encode())
        return optionsForClientTLS(host, trustRoot=authorities, clientCertificate=own)


def keep_alive(transport: Any) -> None:
    """Have the kernel notice a peer that went away, also below TLS."""
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    transport.setTcpKeepAlive(True)
    for option, value in KEEPALIVE:
        transport.getHandle().setsockopt(socket.IPPROTO_TCP, option, value)
