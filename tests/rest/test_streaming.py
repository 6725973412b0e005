"""Replies that are written piece by piece, on real sockets, with and without a variable path."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone

from synnefo_tx.rest.endpoint import Call, endpoint
from synnefo_tx.rest.streaming import Stream, StreamBody, StreamEnded
from tests.support.http import SiteTestCase, connect

PIECE = bytes(range(256)) * 256
PIECES = 256
UNREAD_MAX_BYTES = 4 * len(PIECE)


class Source:
    """Endpoints that send pieces as fast as the client reads, or news as they come."""

    def __init__(self) -> None:
        self.sent = 0
        self.most_unread = 0
        self.body: StreamBody | None = None
        self.was_cut: list[bool] = []
        self.failed: Deferred[BaseException] = Deferred()
        self.asked: Deferred[None] = Deferred()
        self.left: Deferred[None] = Deferred()

    @endpoint("GET", "/content", action="compute:versions", ways=("none",))
    async def content(self, call: Call[None]) -> Stream:
        """Send all pieces."""
        return Stream(self._begin, UNREAD_MAX_BYTES)

    @endpoint("GET", "/content/<name>", action="compute:versions", ways=("none",))
    async def named(self, call: Call[None], name: str) -> Stream:
        """Send all pieces, by a path that Klein routes."""
        return Stream(self._begin, UNREAD_MAX_BYTES, {"X-Name": name}, 201)

    @endpoint("GET", "/news", action="compute:versions", ways=("none",))
    async def news(self, call: Call[None]) -> Stream:
        """Write what the test writes."""
        return Stream(self._keep, UNREAD_MAX_BYTES)

    @endpoint("GET", "/late", action="compute:versions", ways=("none",))
    async def late(self, call: Call[None]) -> Stream:
        """Stream, although the client has gone away."""
        self.asked.callback(None)
        try:
            await Deferred()
        except CancelledError:
            self.left.callback(None)
        return Stream(self._keep, UNREAD_MAX_BYTES)

    def _keep(self, body: StreamBody) -> None:
        self.body = body
        body.ended = self.was_cut.append
        body.write(b"hello")

    def _begin(self, body: StreamBody) -> None:
        body.ended = self.was_cut.append
        Deferred.fromCoroutine(self._send(body)).addErrback(
            lambda failure: self.failed.callback(failure.value)
        )

    async def _send(self, body: StreamBody) -> None:
        for _ in range(PIECES):
            await body.send(PIECE)
            self.sent += 1
            self.most_unread = max(self.most_unread, body.unread_bytes)
        body.end()


class Reader(Protocol):
    """Keeps the count of bytes, and whether they came as a whole."""

    def __init__(self) -> None:
        self.count = 0
        self.ended: Deferred[bool] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)

    def connectionLost(self, reason=connectionDone) -> None:
        self.ended.callback(reason.check(ResponseDone) is not None)


class StreamingTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.source = Source()
        self.serve("", self.source)

    async def read(self, path: str, *, paused: bool = False):
        agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))
        response = await agent.request(b"GET", f"{self.url}{path}".encode())
        reader = Reader()
        response.deliverBody(reader)
        if paused:
            reader.transport.pauseProducing()
        self.addCleanup(reader.transport.loseConnection)
        return response, reader

    async def test_content(self) -> None:
        """Content arrives whole, by a fixed path and by one with a variable part."""
        for path, status in (("/content", 200), ("/content/x", 201)):
            response, reader = await self.read(path)
            self.assertEqual((await reader.ended, response.code), (True, status))
            self.assertEqual(reader.count, PIECES * len(PIECE))
        self.assertEqual(response.headers.getRawHeaders("X-Name"), ["x"])
        self.assertEqual((self.source.was_cut, len(self.site.streams)), ([False, False], 0))

    async def test_slow_reader(self) -> None:
        """Who does not read is sent no more than sockets hold; afterwards all the rest."""
        _, reader = await self.read("/content", paused=True)
        await deferLater(reactor, 0.3)
        held = self.source.sent
        self.assertLess(held, PIECES)
        await deferLater(reactor, 0.1)
        self.assertEqual((self.source.sent, self.source.most_unread), (held, 0))
        reader.transport.resumeProducing()
        self.assertTrue(await reader.ended)
        self.assertEqual(reader.count, PIECES * len(PIECE))

    async def test_client_that_leaves(self) -> None:
        """Whoever sends is told when the client is gone."""
        _, reader = await self.read("/content", paused=True)
        await deferLater(reactor, 0.1)
        reader.transport.loseConnection()
        self.assertIsInstance(await self.source.failed, StreamEnded)
        self.assertEqual((self.source.was_cut, len(self.site.streams)), ([False], 0))

    async def test_news_unread(self) -> None:
        """News that is not read is kept up to a bound, then the client is cut off."""
        _, reader = await self.read("/news", paused=True)
        body = self.source.body
        while body.is_open:
            body.write(PIECE)
            self.assertLessEqual(body.unread_bytes, UNREAD_MAX_BYTES + len(PIECE))
            await deferLater(reactor, 0)
        self.assertEqual(self.source.was_cut, [True])
        reader.transport.resumeProducing()
        self.assertFalse(await reader.ended)

    async def test_stop(self) -> None:
        """A process that stops ends streams as whole replies, with what was written before."""
        _, reader = await self.read("/news")
        self.source.body.write(b" world")
        await self.factory.drain(reactor, 5)
        self.assertEqual((await reader.ended, reader.count), (True, len(b"hello world")))

    async def test_client_that_left_before(self) -> None:
        """Nothing is streamed to a client that went away before the stream began, and nothing of
        it is left when the process stops."""
        raw = await connect(self.url, b"GET /late HTTP/1.1\r\n\r\n")
        await self.source.asked
        raw.transport.loseConnection()
        await self.source.left
        self.assertEqual((self.source.body, len(self.site.streams)), (None, 0))
        await self.factory.drain(reactor, 5)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_head(self) -> None:
        """HEAD gets the head of a stream and is done: the connection serves what comes next, and
        nothing is streamed to who would not read it."""
        heads = b"HEAD /news HTTP/1.1\r\n\r\nHEAD /content/x HTTP/1.1\r\n\r\n"
        raw = await connect(self.url, heads + b"GET /nowhere HTTP/1.0\r\n\r\n")
        received = await raw.ended.addTimeout(5, reactor)
        statuses = [part[:3] for part in received.split(b"HTTP/1.")[1:]]
        self.assertEqual(statuses, [b"1 2", b"1 2", b"0 4"])
        self.assertIn(b"X-Name: x", received)
        self.assertEqual((self.source.body, self.source.sent), (None, 0))
        self.assertEqual(len(self.site.streams), 0)
