"""Connections when a process stops, and when a request is slow to come."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from synnefo_tx.rest.channel import FIRST_REQUEST_SECONDS
from synnefo_tx.rest.endpoint import Call, endpoint
from synnefo_tx.rest.request import LINGER_SECONDS
from tests.support.http import Raw, SiteTestCase, connect

PAUSE_SECONDS = 0.02
BYTES = 100
ASKED = b"GET /answer HTTP/1.1\r\nHost: x\r\n\r\n"


class Answering:
    """An endpoint that answers at once."""

    @endpoint("GET", "/answer", action="compute:versions", ways=("none",))
    async def answer(self, call: Call[None]) -> dict[str, str]:
        """Say something."""
        return {"answer": "yes"}


class DrainTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve("", Answering())

    async def connected(self, sent: bytes = b"") -> Raw:
        """A connection that the site has accepted."""
        client = await connect(self.url, sent)
        while not self.factory.channels:
            await deferLater(reactor, 0)
        return client

    async def test_first_request_on_its_way(self) -> None:
        """Who connected before the stop is answered, though the request comes after it."""
        client = await self.connected()
        draining = Deferred.fromCoroutine(self.factory.drain(reactor, 5))
        client.transport.write(ASKED)
        received = await client.ended
        await draining
        self.assertIn(b"200 OK", received)
        self.assertIn(b"Connection: close", received)
        self.assertIn(b'"yes"', received)

    async def test_silent(self) -> None:
        """Who connected and asks nothing is not waited for longer than a moment."""
        client = await self.connected()
        begun = reactor.seconds()
        await self.factory.drain(reactor, 30)
        self.assertEqual(await client.ended, b"")
        self.assertLess(reactor.seconds() - begun, FIRST_REQUEST_SECONDS + 2)

    async def test_idle(self) -> None:
        """A connection whose requests were answered is closed at once."""
        client = await self.connected(ASKED)
        while b"yes" not in client.received:
            await deferLater(reactor, 0)
        begun = reactor.seconds()
        await self.factory.drain(reactor, 30)
        await client.ended
        self.assertLess(reactor.seconds() - begun, FIRST_REQUEST_SECONDS)


class Slow(Protocol):
    """Sends some of a request at once, and the rest byte by byte."""

    def __init__(self, at_once: bytes, slowly: bytes) -> None:
        self.ended: Deferred[float] = Deferred()
        self.received = b""
        self._at_once = at_once
        self._left = slowly
        self._next = None

    def connectionMade(self) -> None:
        self._begun = reactor.seconds()
        self.transport.write(self._at_once)
        self._send()

    def _send(self) -> None:
        self.transport.write(self._left[:1])
        self._left = self._left[1:]
        if self._left:
            self._next = reactor.callLater(PAUSE_SECONDS, self._send)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason=None) -> None:
        if self._next is not None and self._next.active():
            self._next.cancel()
        self.ended.callback(reactor.seconds() - self._begun)


class Taking:
    """An endpoint that takes a body in pieces."""

    @endpoint("PUT", "/pieces", action="compute:versions", ways=("none",), streamed_max_bytes=1000)
    async def take(self, call: Call[None]) -> dict[str, int]:
        """Count."""
        return {"count": sum([len(piece) async for piece in call.pieces])}


class Sender(Protocol):
    """Sends more than it may, reads meanwhile, and closes when it has sent all."""

    def __init__(self, pieces: int) -> None:
        self.ended: Deferred[str] = Deferred()
        self.received = b""
        self.left = pieces

    def connectionMade(self) -> None:
        self.transport.write(b"PUT /a HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (self.left << 16))
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.transport.write(bytes(1 << 16))
        self.left -= 1
        if not self.left:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def stopProducing(self) -> None:
        """The connection is gone."""

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended.callback(reason.type.__name__)


class LargeBodyTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve()

    async def test_sends_on(self) -> None:
        """Who sends a body over the limit without waiting for an answer gets the 413, and is not
        cut off in the middle of sending."""
        sender = Sender(200)
        host, port = self.url.removeprefix("http://").split(":")
        await connectProtocol(HostnameEndpoint(reactor, host, int(port)), sender)
        reason = await sender.ended.addTimeout(10, reactor)
        self.assertEqual((reason, sender.left), ("ConnectionDone", 0))
        self.assertIn(b" 413 ", sender.received)

    async def test_stays(self) -> None:
        """Who stays although it was refused is disconnected after a short while."""
        raw = await connect(self.url, b"PUT /a HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n")
        begun = reactor.seconds()
        self.assertIn(b" 413 ", await raw.ended.addTimeout(10, reactor))
        self.assertLess(reactor.seconds() - begun, LINGER_SECONDS + 2)


class SlowSenderTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve("", Answering(), Taking())
        self.factory.timeOut = 0.4

    async def sent(self, at_once: bytes, slowly: bytes) -> Slow:
        slow = Slow(at_once, slowly)
        host, port = self.url.removeprefix("http://").split(":")
        await connectProtocol(HostnameEndpoint(reactor, host, int(port)), slow)
        self.seconds = await slow.ended.addTimeout(10, reactor)
        return slow

    async def test_byte_by_byte(self) -> None:
        """A request that comes byte by byte has the idle time as a whole, in its first line, in
        its headers and in its body: who sends a byte a minute has no connection for ever."""
        for at_once, slowly in (
            (b"", b"GET /" + b"x" * BYTES),
            (b"", b"GET /a HTTP/1.1\r\nX: " + b"x" * BYTES),
            (b"PUT /a HTTP/1.1\r\nContent-Length: 200\r\n\r\n", b"x" * BYTES),
        ):
            slow = await self.sent(at_once, slowly)
            self.assertEqual(slow.received, b"")
            self.assertLess(self.seconds, BYTES * PAUSE_SECONDS)

    async def test_handed_on(self) -> None:
        """A body that is handed on may take as long as its sender needs."""
        head = b"PUT /pieces HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
        slow = await self.sent(head % BYTES, b"x" * BYTES)
        self.assertGreater(self.seconds, self.factory.timeOut)
        self.assertIn(b'{"count": %d}' % BYTES, slow.received)
