"""A connection to an address that was checked, and to no other."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import (
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.ssl import TLSVersion, optionsForClientTLS
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from synnefo_tx.outbound.model import Address, Target

READ_BYTES = 64 * 1024
"""What one read may bring beyond the headers."""


class Bounded(ProtocolWrapper):
    """Cuts the connection when headers are endless."""

    factory: _BoundedFactory

    def dataReceived(self, data: bytes) -> None:
        if not self.factory.has_headers:
            self.factory.header_bytes += len(data)
            if self.factory.header_bytes > self.factory.header_max_bytes + READ_BYTES:
                self.abort()
                return
        super().dataReceived(data)

    def abort(self) -> None:
        """End the connection at once."""
        transport: Any = self.transport
        if transport is not None:
            transport.abortConnection()


class _BoundedFactory(WrappingFactory):
    protocol = Bounded
    noisy = False

    def __init__(self, wrapped: IProtocolFactory, header_max_bytes: int) -> None:
        super().__init__(wrapped)
        self.header_max_bytes = header_max_bytes
        self.header_bytes = 0
        self.has_headers = False
        self.made: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        made = super().buildProtocol(addr)
        if made is not None:
            self.made.append(made)
        return made


@implementer(IStreamClientEndpoint, IAgentEndpointFactory)
class Pinned:
    """Connects to the first of ``addresses`` that takes the connection, whatever its name says by
    now; by TLS the target's name is what is asked for (SNI) and what is verified."""

    def __init__(
        self,
        reactor: Any,
        target: Target,
        addresses: Sequence[Address],
        connect_seconds: float,
        header_max_bytes: int,
        trust_root: Any,
    ) -> None:
        self._reactor: IReactorTime = reactor
        self._target = target
        self._addresses = addresses
        self._connect_seconds = connect_seconds
        self._header_max_bytes = header_max_bytes
        self._trust_root = trust_root
        self._factories: list[_BoundedFactory] = []

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> Any:
        last: Exception = ConnectError()
        for address in self._addresses:
            bounded = _BoundedFactory(factory, self._header_max_bytes)
            self._factories.append(bounded)
            try:
                connected: Any = await self._endpoint(address).connect(bounded)
            except ConnectingCancelledError:
                raise
            except ConnectError as error:
                last = error
            else:
                return connected.wrappedProtocol
        raise last

    def _endpoint(self, address: Address) -> IStreamClientEndpoint:
        kind = TCP6ClientEndpoint if isinstance(address, IPv6Address) else TCP4ClientEndpoint
        tcp = kind(self._reactor, str(address), self._target.port, timeout=self._connect_seconds)
        if self._target.scheme == "http":
            return tcp
        options = optionsForClientTLS(
            self._target.host,
            trustRoot=self._trust_root,
            extraCertificateOptions={"raiseMinimumTo": TLSVersion.TLSv1_2},
        )
        return wrapClientTLS(options, tcp)

    def got_headers(self) -> None:
        """What comes from now on is the body."""
        for each in self._factories:
            each.has_headers = True

    def end(self) -> None:
        """Leave no connection."""
        for factory in self._factories:
            for made in factory.made:
                made.abort()
