"""An agent that carries requests to a site in the same process, without sockets."""

# mypy: disallow-untyped-calls=False
# (twisted.web.server is not annotated)
from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.test import iosim
from twisted.web.client import URI, Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IBodyProducer
from zope.interface import implementer

from synnefo_tx.ganeti.memory.front import RapiSite

_ADDRESS = IPv4Address("TCP", "127.0.0.1", 5080)


@implementer(IStreamClientEndpoint, IAgentEndpointFactory)
@define(eq=False)
class _Pipes:
    """Connects by a pair of in-memory transports, and moves the bytes between them."""

    site: RapiSite
    _pumps: list[Any] = field(factory=list)
    _flushing: bool = False

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        client: Any = protocolFactory.buildProtocol(_ADDRESS)
        server: Any = self.site.buildProtocol(_ADDRESS)
        self._pumps.append(
            iosim.connect(
                server,
                iosim.FakeTransport(server, isServer=True),
                client,
                iosim.FakeTransport(client, isServer=False),
            )
        )
        return succeed(client)

    def flush(self) -> None:
        """Move bytes until none is left to move; forget closed connections."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while sum(bool(pump.pump()) for pump in self._pumps):
                self._pumps = [pump for pump in self._pumps if not _closed(pump)]
        finally:
            self._flushing = False


def _closed(pump: Any) -> bool:
    return bool(pump.clientIO.disconnected and pump.serverIO.disconnected)


@implementer(IAgent)
class MemoryAgent:
    """Requests are with the site when ``request`` returns; replies come as the site sends them."""

    def __init__(self, site: RapiSite, clock: IReactorTime) -> None:
        self._pipes = _Pipes(site)
        self._agent = Agent.usingEndpointFactory(clock, self._pipes)
        site.after_write = self._pipes.flush

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[Any]:
        reply = self._agent.request(method, uri, headers, bodyProducer)

        def give_up(_: Deferred[Any]) -> None:
            reply.cancel()
            self._pipes.flush()

        answer: Deferred[Any] = Deferred(give_up)
        reply.addCallbacks(answer.callback, answer.errback)
        self._pipes.flush()
        return answer
