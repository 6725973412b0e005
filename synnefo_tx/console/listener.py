"""The service that listens for browsers."""

from __future__ import annotations

from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.ssl import CertificateOptions
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory

from synnefo_tx.console.model import unreachable
from synnefo_tx.console.proxy import ConsoleFactory
from synnefo_tx.rest.channel import adopt

BACKLOG = 256


class ConsoleListener(Service):
    """Listens with TLS on one port, or on an inherited socket.

    Stopping it closes every console with a reason.

    Starting raises CannotListenError when the port is taken.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        factory: ConsoleFactory,
        host: str,
        port: int,
        tls: CertificateOptions,
        descriptor: int | None = None,
    ) -> None:
        self._reactor = reactor
        self._factory = factory
        self._host = host
        self._wanted_port = port
        self._tls = tls
        self._descriptor = descriptor
        self._listening: IListeningPort | None = None

    @property
    def port(self) -> int:
        """The port it listens on; that taken when 0 was asked for."""
        if self._listening is None:
            return self._wanted_port
        return cast(IPv4Address | IPv6Address, self._listening.getHost()).port

    def startService(self) -> None:
        self._listening = self._listen(TLSMemoryBIOFactory(self._tls, False, self._factory))
        super().startService()
        self.log.info("console listens on {host}:{port}", host=self._host, port=self.port)

    def _listen(self, factory: Any) -> IListeningPort:
        if self._descriptor is not None:
            return adopt(self._reactor, self._descriptor, factory)
        port: IListeningPort = self._reactor.listenTCP(
            self._wanted_port, factory, backlog=BACKLOG, interface=self._host
        )
        return port

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            stopped = listening.stopListening()
            if stopped is not None:
                await stopped
        await self._factory.shut(unreachable("the console restarts"))
