"""HTTP connections of a process, and how they end when it stops."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request
from twisted.web.server import Site

IDLE_SECONDS = 75
"""What a connection may be silent, and what a request may take to come as a whole; one whose body
is handed on may take longer, but not be silent for longer."""
LENGTH_LINE_MAX = 100
FIRST_REQUEST_SECONDS = 1.0
"""What a connection that was just accepted has for its first request when the process stops."""


class _Channel(HTTPChannel):
    """A connection that its factory knows of."""

    factory: ApiFactory
    asked = False
    _is_coming = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self.factory.channels.add(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self.factory.forget(self)

    def resetTimeout(self) -> None:
        """Begin the idle time anew: with the first byte of a request, and with each of a body that
        is handed on. Otherwise a byte a minute would keep a connection for ever."""
        if not self._is_coming or self._is_handed_on:
            self._is_coming = True
            super().resetTimeout()

    @property
    def _is_handed_on(self) -> bool:
        return bool(self.requests) and self.requests[-1].pieces is not None

    def allContentReceived(self) -> None:
        self._is_coming = False
        super().allContentReceived()

    def headerReceived(self, line: bytes) -> bool:
        self.asked = True
        if len(line) > LENGTH_LINE_MAX and line.lower().startswith(b"content-length"):
            # Twisted would make a number of it, which Python refuses beyond 4300 digits.
            self._respondToBadRequestAndDisconnect()
            return False
        return super().headerReceived(line)

    def _respondToBadRequestAndDisconnect(self) -> None:
        self.factory.on_refused(400)
        super()._respondToBadRequestAndDisconnect()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        if self.factory.draining:
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
            return False
        return super().checkPersistence(request, version)


class ApiFactory(Site):
    """A site without an access log of its own: the endpoints' wrapper knows endpoint and caller."""

    protocol: Any = _Channel
    displayTracebacks = False
    noisy = False
    stops = Logger()

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.timeOut = IDLE_SECONDS
        self.channels: set[_Channel] = set()
        self.draining = False
        self.on_drain: Callable[[], None] = lambda: None
        self.on_refused: Callable[[int], None] = lambda status: None
        self._drained: Deferred[None] | None = None

    def log(self, request: object) -> None:
        """Write nothing."""

    def forget(self, channel: _Channel) -> None:
        """The connection is closed."""
        self.channels.discard(channel)
        drained = self._drained
        if drained is not None and not self.channels and not drained.called:
            drained.callback(None)

    async def drain(self, clock: IReactorTime, limit_seconds: float) -> None:
        """Close what is idle, answer what was asked, then close; cut what is left at the limit.

        A connection without a request yet may have one on its way: who connected before nothing
        listened any more was promised an answer. To be called when nothing listens any more.
        """
        self.draining = True
        self.on_drain()
        for channel in list(self.channels):
            if channel.requests:
                channel.persistent = False
            elif channel.asked:
                channel.loseConnection()
        if not self.channels:
            return
        self._drained = Deferred(lambda d: None)
        closing = clock.callLater(FIRST_REQUEST_SECONDS, self._close_idle)
        try:
            await self._drained.addTimeout(limit_seconds, clock)
        except TimeoutError:
            self.stops.warn("{count} connections are cut at the stop", count=len(self.channels))
            for channel in list(self.channels):
                transport: Any = channel.transport
                transport.abortConnection()
        finally:
            if closing.active():
                closing.cancel()

    def _close_idle(self) -> None:
        for channel in list(self.channels):
            if not channel.requests:
                channel.loseConnection()


def adopt(reactor: Any, descriptor: int, factory: Any) -> IListeningPort:
    """Accept on an inherited listening socket; the descriptor is closed."""
    with socket.socket(fileno=descriptor) as listening:
        port: IListeningPort = reactor.adoptStreamPort(descriptor, listening.family, factory)
    return port
