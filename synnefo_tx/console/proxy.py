"""The websocket side of the console: the upgrade, frames, limits, and the close.

The path of every request holds a ticket. Autobahn logs requests and their paths and repeats them
in its replies to bad ones, so both its logs and its replies are replaced here.
"""

from __future__ import annotations

import struct
from http import HTTPStatus
from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.python.failure import Failure

from synnefo_tx.console.admission import SUBPROTOCOL, admitted_ticket
from synnefo_tx.console.flow import Valve
from synnefo_tx.console.model import Refusal
from synnefo_tx.console.session import ConsoleSession, Surroundings

_BINARY_FRAME = 0x82  # FIN and opcode 2 (RFC 6455 §5.2)


class _Mute:
    """Takes the place of Autobahn's loggers."""

    def _drop(self, *args: Any, **fields: Any) -> None:
        """Nothing of it is written: whole requests are among it."""

    trace = debug = info = warn = error = failure = _drop


def frame_head(payload_bytes: int) -> bytes:
    """The head of an unmasked binary frame (RFC 6455 §5.2)."""
    if payload_bytes < 126:
        return bytes((_BINARY_FRAME, payload_bytes))
    if payload_bytes < 1 << 16:
        return struct.pack("!BBH", _BINARY_FRAME, 126, payload_bytes)
    return struct.pack("!BBQ", _BINARY_FRAME, 127, payload_bytes)


class ConsoleProtocol(WebSocketServerProtocol):
    """One client of the console."""

    log = _Mute()
    factory: ConsoleFactory

    def __init__(self) -> None:
        super().__init__()
        self.outgoing = Valve()
        self._ticket = ""
        self._session: ConsoleSession | None = None
        self._aborting: IDelayedCall | None = None

    @property
    def remote(self) -> str:
        return str(self.transport.getPeer().host)

    @property
    def incoming(self) -> IPushProducer:
        return self.transport

    # The connection

    def connectionMade(self) -> None:
        super().connectionMade()
        # Small writes must not wait for the client's acknowledgement; Autobahn means to do this
        # and does not.
        self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self.outgoing, True)
        if not self.factory.admit(self):
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure) -> None:
        if self._aborting is not None and self._aborting.active():
            self._aborting.cancel()
        self._aborting = None
        self.factory.forget(self)
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        if self.state != self.STATE_CLOSED:  # Autobahn would keep it until the socket is gone
            super().dataReceived(data)

    def abort_soon(self) -> None:
        """Give the client a moment to take the last words, then cut the connection.

        A client that never answers TLS's close would otherwise stay for ever.
        """
        if self._aborting is None:
            seconds = self.factory.surroundings.limits.closing_seconds
            clock = self.factory.surroundings.reactor
            self._aborting = clock.callLater(seconds, self.transport.abortConnection)

    def _closeConnection(self, abort: bool = False) -> None:
        super()._closeConnection(abort)
        if not abort:
            self.abort_soon()

    # The upgrade

    def processHandshake(self) -> None:
        limit = self.factory.surroundings.limits.head_bytes
        end = self.data.find(b"\r\n\r\n", 0, limit)
        if end < 0:
            if len(self.data) >= limit:
                self.failHandshake("", HTTPStatus.FORBIDDEN)
            return
        ticket = admitted_ticket(self.data[:end], self.factory.origins)
        if ticket is None:
            self.failHandshake("", HTTPStatus.FORBIDDEN)
        else:
            self._ticket = ticket
            super().processHandshake()

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        """Refuse by HTTP; ``reason`` may repeat what the client sent and is dropped."""
        status = HTTPStatus(code)
        body = f"{status.phrase}\n".encode()
        head = [
            f"HTTP/1.1 {status.value} {status.phrase}",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Referrer-Policy: no-referrer",
            "X-Content-Type-Options: nosniff",
            "Connection: close",
            *(f"{name}: {value}" for name, value in responseHeaders or ()),
        ]
        self.sendData("\r\n".join([*head, "", ""]).encode() + body)
        self.dropConnection(abort=False)

    def onConnect(self, request: Any) -> str:
        return SUBPROTOCOL

    def onOpen(self) -> None:
        ticket, self._ticket = self._ticket, ""
        self._session = ConsoleSession(self.factory.surroundings, self)
        self._session.start(ticket)

    # Frames: a message is a stretch of a stream and is passed on as it comes in

    def onMessageBegin(self, isBinary: bool) -> None:
        super().onMessageBegin(isBinary)
        if not isBinary:
            self._fail_connection(self.CLOSE_STATUS_CODE_UNSUPPORTED_DATA, "binary only")

    def onMessageFrameData(self, payload: bytes) -> None:
        if not self.failedByMe and self.state == self.STATE_OPEN and self._session is not None:
            self._session.data_received(payload)

    def onMessageFrameEnd(self) -> None:
        self.frame_data = None

    def onMessageEnd(self) -> None:
        self.message_data = None

    def onPing(self, payload: bytes) -> None:
        if not self.outgoing.is_closed:  # a client that asks and never reads gets no more answers
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.browser_gone()

    def send(self, data: bytes) -> None:
        """Send one binary message, framed here without Autobahn's copy of the payload."""
        if data and self.state == self.STATE_OPEN:
            self.transport.write(frame_head(len(data)))
            self.transport.write(data)

    def close(self, refusal: Refusal) -> None:
        """Send the close frame; the connection is cut within ``closing_seconds``."""
        if self.state == self.STATE_OPEN:
            self.sendClose(refusal.code, refusal.reason)
        self.abort_soon()

    def shut(self, refusal: Refusal) -> None:
        """End whatever stage this connection is at."""
        if self._session is not None:
            self._session.end(refusal)
        else:
            self.dropConnection(abort=True)


class ConsoleFactory(WebSocketServerFactory):
    """Makes the protocols and knows them all."""

    log = _Mute()
    protocol = ConsoleProtocol
    noisy = False

    def __init__(self, surroundings: Surroundings, origins: frozenset[str]) -> None:
        super().__init__(server="", reactor=surroundings.reactor)
        self.surroundings = surroundings
        self.origins = origins
        self._connections: set[ConsoleProtocol] = set()
        self._emptied: list[Deferred[None]] = []
        limits = surroundings.limits
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            utf8validateIncoming=False,
            maxFramePayloadSize=limits.message_bytes,
            maxMessagePayloadSize=limits.message_bytes,
            openHandshakeTimeout=limits.upgrade_seconds,
            closeHandshakeTimeout=0,  # see ConsoleProtocol.abort_soon
            autoPingInterval=limits.ping_seconds,
            autoPingTimeout=limits.ping_seconds,
        )

    @property
    def connection_count(self) -> int:
        """Open connections, those before the upgrade among them."""
        return len(self._connections)

    def admit(self, connection: ConsoleProtocol) -> bool:
        """Take note of a connection; False when there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= self.surroundings.limits.connections

    def forget(self, connection: ConsoleProtocol) -> None:
        """The connection is gone."""
        self._connections.discard(connection)
        if not self._connections:
            waiting, self._emptied = self._emptied, []
            for each in waiting:
                each.callback(None)

    def shut(self, refusal: Refusal) -> Deferred[None]:
        """Close all; fires when the last is gone, after ``closing_seconds`` at most."""
        for connection in list(self._connections):
            connection.shut(refusal)
        if not self._connections:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._emptied.append(waiting)
        return waiting
