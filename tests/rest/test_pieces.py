"""Bodies that are handed on in pieces, on real sockets."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.protocols.tls import TLSMemoryBIOFactory

from synnefo_tx.console.certificate import self_signed, tls_options
from synnefo_tx.rest.endpoint import Call, endpoint
from synnefo_tx.rest.pieces import HELD_MAX_BYTES, BodyCut, BodyPieces
from tests.support.http import Raw, SiteTestCase, connect

MIB = 1024 * 1024
ONE_READ_BYTES = 64 * 1024
LIMIT_BYTES = int(os.environ.get("PIECES_MIB", "16")) * MIB
WAIT_SECONDS = 10.0


class Sink:
    """Endpoints that take a body in pieces."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.most_held = 0
        self.begun: Deferred[BodyPieces] = Deferred()
        self.failed: Deferred[BaseException] = Deferred()
        self.pause_seconds = 0.0

    @endpoint(
        "PUT", "/sink", action="compute:versions", ways=("none",), streamed_max_bytes=LIMIT_BYTES
    )
    @endpoint(
        "PUT",
        "/sink/<name>/all",
        action="compute:versions",
        ways=("none",),
        streamed_max_bytes=LIMIT_BYTES,
    )
    async def take(self, call: Call[None], name: str = "") -> dict[str, Any]:
        """Read all of it."""
        if not self.begun.called:
            self.begun.callback(call.pieces)
        count = 0
        try:
            async for piece in call.pieces:
                self.most_held = max(self.most_held, call.pieces.held_bytes)
                self.digest.update(piece)
                count += len(piece)
                if self.pause_seconds:
                    await deferLater(reactor, self.pause_seconds)
        except BaseException as error:
            self.failed.callback(error)
            raise
        return {"bytes": count}

    @endpoint(
        "PUT",
        "/sink/<name>",
        action="compute:versions",
        ways=("none",),
        streamed_max_bytes=LIMIT_BYTES,
        status=201,
    )
    async def glance(self, call: Call[None], name: str) -> dict[str, Any]:
        """Read the first piece only."""
        async for piece in call.pieces:
            return {"name": name, "first": len(piece)}
        return {"name": name, "first": 0}

    @endpoint("PUT", "/closed", action="compute:extension:list", streamed_max_bytes=LIMIT_BYTES)
    async def closed(self, call: Call[None]) -> None:
        """Never reached without a token."""


def head(path: str, *more: str) -> bytes:
    """The head of a PUT."""
    lines = (f"PUT {path} HTTP/1.1", "Host: x", *more, "", "")
    return "\r\n".join(lines).encode()


class PiecesTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.sink = Sink()
        self.serve("", self.sink)

    async def until(self, raw: Raw, wanted: bytes) -> bytes:
        """What came, once ``wanted`` is in it."""
        for _ in range(int(WAIT_SECONDS * 100)):
            if wanted in raw.received:
                return raw.received
            await deferLater(reactor, 0.01)
        raise AssertionError(f"{wanted!r} did not come, but {raw.received!r}")

    async def test_large(self) -> None:
        """A large body reaches a slow reader whole, and little of it is held."""
        await self.send_large(await connect(self.url))

    async def test_large_tls(self) -> None:
        """The same over TLS."""
        files = self_signed(Path(self.mktemp()), ["sink.test"], datetime.now(UTC))
        wrapped = TLSMemoryBIOFactory(tls_options(*files), False, self.factory)
        port = reactor.listenTCP(0, wrapped, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        authority = Certificate.loadPEM(files[0].read_bytes())
        endpoint = wrapClientTLS(
            optionsForClientTLS("sink.test", authority),
            HostnameEndpoint(reactor, "127.0.0.1", port.getHost().port),
        )
        await self.send_large(await connectProtocol(endpoint, Raw(b"")))

    async def send_large(self, raw: Raw) -> None:
        """Send a large body to a slow reader."""
        self.sink.pause_seconds = 0.0005
        block = os.urandom(MIB)
        raw.transport.write(head("/sink", f"Content-Length: {LIMIT_BYTES}"))
        expected = hashlib.sha256()
        for _ in range(LIMIT_BYTES // MIB):
            raw.transport.write(block)
            expected.update(block)
        await self.until(raw, b'{"bytes": %d}' % LIMIT_BYTES)
        self.assertEqual(self.sink.digest.digest(), expected.digest())
        self.assertLessEqual(self.sink.most_held, HELD_MAX_BYTES + ONE_READ_BYTES)
        self.assertGreater(self.sink.most_held, HELD_MAX_BYTES // 4)
        raw.transport.loseConnection()
        await raw.ended

    async def test_held_back(self) -> None:
        """While nobody reads, the sender can't send: the socket is not read."""
        raw = await connect(self.url, head("/sink", f"Content-Length: {LIMIT_BYTES}"))
        self.sink.pause_seconds = 0.5
        pieces = await self.sink.begun
        raw.transport.write(bytes(LIMIT_BYTES))
        await deferLater(reactor, 0.2)
        held, received = pieces.held_bytes, pieces.received_bytes
        await deferLater(reactor, 0.1)
        self.assertEqual(pieces.received_bytes, received)
        self.assertLessEqual(held, HELD_MAX_BYTES + ONE_READ_BYTES)
        self.sink.pause_seconds = 0.0
        await self.until(raw, b'{"bytes": %d}' % LIMIT_BYTES)
        raw.transport.loseConnection()
        await raw.ended

    async def test_kept_alive(self) -> None:
        """After a body in pieces the connection serves the next request, and may idle as before."""
        raw = await connect(self.url, head("/sink", "Content-Length: 3") + b"abc")
        await self.until(raw, b'{"bytes": 3}')
        raw.received = b""
        raw.transport.write(head("/sink", "Content-Length: 2") + b"de")
        await self.until(raw, b'{"bytes": 2}')
        (channel,) = self.factory.channels
        self.assertEqual(channel.timeOut, self.factory.timeOut)
        raw.transport.loseConnection()
        await raw.ended

    async def test_vanishes(self) -> None:
        """A sender that goes away midway ends the reader with an error, and nothing is left."""
        for path in ("/sink", "/sink/a/all"):
            self.sink.begun, self.sink.failed = Deferred(), Deferred()
            raw = await connect(self.url, head(path, "Content-Length: 1000") + b"abc")
            await self.sink.begun
            raw.transport.abortConnection()
            await raw.ended
            self.assertIsInstance(await self.sink.failed, BodyCut)
            await deferLater(reactor, 0.01)
            self.assertEqual(self.factory.channels, set())
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_vanishes_unread(self) -> None:
        """The same while the reader does something else: it is told when it reads on."""
        self.sink.pause_seconds = 0.1
        raw = await connect(self.url, head("/sink/a/all", "Content-Length: 1000") + b"abc")
        await self.sink.begun
        raw.transport.abortConnection()
        await raw.ended
        self.assertIsInstance(await self.sink.failed, (BodyCut, CancelledError))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_chunked(self) -> None:
        """A body without a told length ends with its last chunk."""
        sent = head("/sink", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
        raw = await connect(self.url, sent)
        await self.until(raw, b'{"bytes": 7}')
        self.assertEqual(self.sink.digest.digest(), hashlib.sha256(b"abcdefg").digest())
        raw.transport.loseConnection()
        await raw.ended

    async def test_too_large(self) -> None:
        """A body over the limit is a 413: at once when its length is told, else when it is over."""
        raw = await connect(self.url, head("/sink", f"Content-Length: {LIMIT_BYTES + 1}"))
        self.assertIn(b" 413 ", (await raw.ended).split(b"\r\n")[0])
        self.assertFalse(self.sink.begun.called)
        chunk = b"100000\r\n" + bytes(MIB) + b"\r\n"
        raw = await connect(self.url, head("/sink", "Transfer-Encoding: chunked"))
        for _ in range(LIMIT_BYTES // MIB + 1):
            raw.transport.write(chunk)
        raw.transport.write(b"0\r\n\r\n")
        received = await raw.ended
        self.assertIn(b" 413 ", received.split(b"\r\n")[0])
        self.assertIn(b"requestEntityTooLarge", received)

    async def test_reads_no_more(self) -> None:
        """An endpoint may reply before it has read all: the sender gets the reply, and the end."""
        raw = await connect(self.url, head("/sink/a.b", f"Content-Length: {LIMIT_BYTES}"))
        raw.transport.write(bytes(LIMIT_BYTES))
        received = await raw.ended
        self.assertIn(b" 201 ", received.split(b"\r\n")[0])
        self.assertIn(b"connection: close", received.lower())
        self.assertIn(b'"name": "a.b"', received)

    async def test_sends_no_more(self) -> None:
        """A sender that stalls after such a reply is cut off after a while."""
        raw = await connect(self.url, head("/sink/a", "Content-Length: 1000") + b"abc")
        self.assertIn(b'"first": 3', await raw.ended)

    async def test_refused(self) -> None:
        """Who may not call is told so without being asked for the body."""
        raw = await connect(
            self.url, head("/closed", "Content-Length: 1000", "Expect: 100-continue")
        )
        received = await raw.ended
        self.assertIn(b" 401 ", received.split(b"\r\n")[0])
        self.assertNotIn(b"100 Continue", received)

    async def test_continue(self) -> None:
        """A sender that asks before it sends is told to go on when the endpoint reads."""
        raw = await connect(self.url, head("/sink", "Content-Length: 3", "Expect: 100-continue"))
        await self.until(raw, b"HTTP/1.1 100 Continue\r\n\r\n")
        raw.transport.write(b"abc")
        await self.until(raw, b'{"bytes": 3}')
        self.assertEqual(raw.received.count(b"100 Continue"), 1)
        raw.transport.loseConnection()
        await raw.ended

    async def test_empty(self) -> None:
        """No body at all has no pieces."""
        raw = await connect(self.url, head("/sink", "Content-Length: 0"))
        await self.until(raw, b'{"bytes": 0}')
        raw.transport.loseConnection()
        await raw.ended
