"""The connection to a hypervisor's VNC server."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, cast

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure

from synnefo_tx.console.model import ConsoleLimits, Target
from synnefo_tx.console.rfb import Handshake, RfbError, open_screen


class ScreenUnreachable(Exception):
    """The hypervisor's VNC server cannot be used; the text is for the log, not for the user."""


class Screen(Protocol):
    """Opens RFB as a client, then holds the server still until ``relay`` is called."""

    transport: Connection

    def __init__(self, password: str | None) -> None:
        self.opened: Deferred[None] = Deferred()
        self._handshake = Handshake(open_screen(password))
        self._deliver: Callable[[bytes], None] | None = None
        self._tell_lost: Callable[[], None] | None = None
        self._is_lost = False

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self._handshake.begin()  # the server speaks first

    def dataReceived(self, data: bytes) -> None:
        if self._deliver is not None:
            self._deliver(data)
            return
        try:
            self.transport.write(self._handshake.receive(data))
        except RfbError as error:
            self._fail(str(error))
            return
        if self._handshake.finished and not self.opened.called:
            self.transport.pauseProducing()
            self.opened.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._is_lost = True
        self._fail("the VNC server closed the connection")
        if self._tell_lost is not None:
            self._tell_lost()

    def relay(self, deliver: Callable[[bytes], None], tell_lost: Callable[[], None]) -> None:
        """From now on hand all bytes to ``deliver``; ``tell_lost`` hears of the end."""
        self._deliver, self._tell_lost = deliver, tell_lost
        deliver(self._handshake.rest)
        self.transport.resumeProducing()
        if self._is_lost:
            tell_lost()

    def abort(self) -> None:
        """Cut the connection; ``tell_lost`` is not called for it."""
        self._deliver, self._tell_lost = _drop, None
        self.transport.abortConnection()

    def _fail(self, text: str) -> None:
        if not self.opened.called:
            self.opened.errback(ScreenUnreachable(text))


def _drop(data: bytes) -> None:
    """Bytes that were on their way when the session ended go nowhere."""


async def connect_screen(reactor: Any, target: Target, limits: ConsoleLimits) -> Screen:
    """A connection to the target's screen, its RFB opening done.

    Dials the target's own address and port only; a host that is not written in digits, or a port
    outside ``limits.screen_ports``, is refused. Raises ScreenUnreachable.
    """
    endpoint = _endpoint(reactor, target, limits)
    factory = Factory.forProtocol(lambda: Screen(target.screen_password))
    factory.noisy = False
    try:
        screen = cast(Screen, await endpoint.connect(factory))
    except ConnectError as error:
        raise ScreenUnreachable(f"{target.host}:{target.port}: {error}") from error
    try:
        await screen.opened.addTimeout(limits.greeting_seconds, reactor)
    except TimeoutError as error:
        screen.abort()
        raise ScreenUnreachable(f"{target.host}:{target.port} sends no greeting") from error
    except BaseException:
        screen.abort()
        raise
    return screen


def _endpoint(
    reactor: Any, target: Target, limits: ConsoleLimits
) -> TCP4ClientEndpoint | TCP6ClientEndpoint:
    low, high = limits.screen_ports
    if not low <= target.port <= high:
        raise ScreenUnreachable(f"port {target.port} is not among {low} to {high}")
    try:
        address = ip_address(target.host)
    except ValueError as error:
        raise ScreenUnreachable(f"{target.host!r} is no address") from error
    if address.is_multicast or address.is_unspecified:
        raise ScreenUnreachable(f"{target.host} is no address of one node")
    kind = TCP4ClientEndpoint if address.version == 4 else TCP6ClientEndpoint
    return kind(reactor, target.host, target.port, timeout=limits.connect_seconds)
