"""The websocket's edge: what is refused, what is bounded, what is logged."""

from __future__ import annotations

import gc
import hashlib
import os
import socket
import ssl
import tracemalloc

import txaio
from attrs import evolve
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.threads import deferToThread
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.console.model import gone
from synnefo_tx.console.proxy import frame_head
from tests.console.support import (
    ORIGIN,
    ConsoleTestCase,
    Wire,
    eventually,
    sleep,
    ticket_of,
)

MIB = 1024 * 1024


def memory_bytes():
    """Memory held by Python objects: what a buffer without bound would fill."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


class FrameTests(SynchronousTestCase):
    def test_lengths(self):
        """The three forms of a length (RFC 6455 §5.2)."""
        self.assertEqual(frame_head(125), b"\x82\x7d")
        self.assertEqual(frame_head(126), b"\x82\x7e\x00\x7e")
        self.assertEqual(frame_head(65535), b"\x82\x7e\xff\xff")
        self.assertEqual(frame_head(65536), b"\x82\x7f\0\0\0\0\0\x01\0\0")


class UpgradeTests(ConsoleTestCase):
    async def answer(self, path, **parts):
        client = await self.connect()
        client.ask(path, **parts)
        head = await client.reply()
        await client.lost
        return head

    async def test_refused_before_the_upgrade(self):
        """Wrong Origin, path or subprotocol gets 403, never a redirect, and no ticket is used."""
        ticket = self.issue()
        path = f"/console/{ticket}"
        for asked, parts in (
            (path, {"origin": None}),
            (path, {"origin": "null"}),
            (path, {"origin": "https://evil.example"}),
            (path, {"protocol": None}),
            (path, {"protocol": "base64"}),
            (path + "/", {}),
            ("/", {}),
            ("/console//evil.example/%2e%2e", {}),
            ("//evil.example/..", {}),
            ("/?redirect=https://evil.example", {"extra": [("Upgrade", None)]}),
        ):
            head = await self.answer(asked, **parts)
            self.assertTrue(head.startswith("HTTP/1.1 403 Forbidden\r\n"), (asked, head))
            self.assertNotIn("Location", head)
            self.assertNotIn("Server:", head)
        self.assertIn(ticket, self.targets.tickets)

    async def test_host_has_no_part_in_it(self):
        """A forged Host neither opens the console to a foreign page nor closes it to our own."""
        for _ in range(20):
            head = await self.answer(
                f"/console/{ticket_of(1)}", origin="https://evil.example", host="evil.example"
            )
            self.assertTrue(head.startswith("HTTP/1.1 403"))
        self.assertEqual(self.factory.origins, {ORIGIN})
        client = await self.connect()
        await client.upgrade(self.issue(), host="evil.example:1")

    async def test_not_a_websocket(self):
        """Requests that pass the first look and are no upgrade are refused without an echo."""
        path = f"/console/{ticket_of(5)}"
        for parts in (
            {"extra": [("Sec-WebSocket-Version", "13")]},
            {"extra": [("Sec-WebSocket-Extensions", "a"), ("Sec-WebSocket-Extensions", "b")]},
            {"host": None},
            {"host": "evil:port"},
        ):
            head = await self.answer(path, **parts)
            self.assertRegex(head, r"^HTTP/1\.1 4\d\d [A-Z][A-Za-z ]+\r\n")
            self.assertNotIn("evil", head)
            self.assertNotIn(ticket_of(5), head)

    async def test_long_path(self):
        """A path without end is refused after a few KiB, and nothing of the rest is kept."""
        client = await self.connect()
        client.transport.write(b"GET /console/" + b"a" * MIB)
        self.assertTrue((await client.reply()).startswith("HTTP/1.1 403"))
        for connection in self.factory._connections:
            self.assertLess(len(connection.data), 100_000)
        await client.lost

    async def test_garbage(self):
        """Bytes that are no HTTP are refused or cut, and leave no connection."""
        for garbage in (b"\r\n\r\n", b"\0" * 9000, os.urandom(9000), b"GET / HTTP/1.1\n\n\r\n\r\n"):
            client = await self.connect()
            client.transport.write(garbage)
            await client.lost
        await eventually(lambda: self.factory.connection_count == 0)

    async def test_versions_of_tls(self):
        """TLS 1.2 and 1.3 are spoken, 1.1 is refused."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("DEFAULT@SECLEVEL=0")

        def greet(version):
            context.minimum_version = context.maximum_version = version
            plain = socket.create_connection(("127.0.0.1", self.listener.port), 5)
            with plain, context.wrap_socket(plain) as secured:
                return secured.version()

        with self.assertRaises(ssl.SSLError):
            await deferToThread(greet, ssl.TLSVersion.TLSv1_1)
        self.assertEqual(await deferToThread(greet, ssl.TLSVersion.TLSv1_2), "TLSv1.2")
        self.assertEqual(await deferToThread(greet, ssl.TLSVersion.TLSv1_3), "TLSv1.3")

    async def test_autobahn_client(self):
        """A websocket client of another hand gets in, too."""
        opened, closed = Deferred(), Deferred()

        class Client(WebSocketClientProtocol):
            def onMessage(self, payload, isBinary):
                opened.callback((payload, isBinary))

            def onClose(self, wasClean, code, reason):
                closed.callback((wasClean, code, reason))

        url = f"wss://127.0.0.1:{self.listener.port}/console/{self.issue()}"
        factory = WebSocketClientFactory(url, origin=ORIGIN, protocols=["binary"], reactor=reactor)
        factory.protocol = Client
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.listener.port)
        await wrapClientTLS(CertificateOptions(verify=False), endpoint).connect(factory)
        self.assertEqual(await opened, (b"RFB 003.008\n", True))
        self.sessions.end(gone("deleted meanwhile"))
        self.assertEqual(await closed, (True, 4404, "deleted meanwhile"))


class DelayTests(ConsoleTestCase):
    async def test_no_delay(self):
        """What is written to the browser leaves at once, however small it is."""
        client = await self.connect()
        await eventually(lambda: self.factory.connection_count == 1)
        (connection,) = self.factory._connections
        self.assertTrue(connection.transport.getTcpNoDelay())
        client.transport.abortConnection()
        await eventually(lambda: self.factory.connection_count == 0)


class TimeoutTests(ConsoleTestCase):
    limits = evolve(ConsoleTestCase.limits, upgrade_seconds=1.5, ping_seconds=1.2)

    async def test_half_open(self):
        """Connections that stop before TLS, before the request or inside it are cut in time."""
        plain = TCP4ClientEndpoint(reactor, "127.0.0.1", self.listener.port)
        factory = Factory.forProtocol(Wire)
        factory.noisy = False
        clients = [await plain.connect(factory) for _ in range(20)]
        clients[0].transport.write(b"\x16\x03\x01")
        clients += [await self.connect() for _ in range(5)]
        clients[-1].transport.write(b"GET /console/")
        for client in clients:
            await client.lost
        self.assertEqual(self.factory.connection_count, 0)

    async def test_client_that_vanished(self):
        """A client that answers no ping is dropped, and its screen let go."""
        await self.opened()  # the tests' client answers none
        await self.screen.last.lost
        self.assertEqual(len(self.sessions), 0)

    async def test_close_that_is_never_answered(self):
        """A refused client that keeps its end of TLS open is cut."""
        client = await self.connect()
        client.transport.write(b"GET / HTTP/1.1\r\n")
        await eventually(lambda: any(each.data for each in self.factory._connections))
        client.transport.transport.pauseProducing()
        client.transport.write(b"\r\n")
        await eventually(lambda: self.factory.connection_count == 0, seconds=1.5)


class ConnectionLimitTests(ConsoleTestCase):
    limits = evolve(ConsoleTestCase.limits, connections=3)

    async def test_too_many(self):
        """Beyond the limit of connections new ones are cut at once; a closed one makes room."""
        for _ in range(3):
            await self.opened()
        client = await self.connect()
        await client.lost
        self.clients[0].transport.abortConnection()
        await eventually(lambda: self.factory.connection_count == 2)
        await self.opened()


class FlowTests(ConsoleTestCase):
    limits = evolve(ConsoleTestCase.limits, message_bytes=256 * 1024)

    async def test_down(self):
        """16 MiB of pixels arrive whole and in order."""
        client = await self.opened()
        data = os.urandom(MIB) * 16
        self.screen.last.transport.write(data)
        received = await client.stream(len(data), seconds=30)
        self.assertEqual(hashlib.sha256(received).digest(), hashlib.sha256(data).digest())

    async def test_up(self):
        """8 MiB sent by the browser, in frames of many sizes, arrive whole and in order."""
        client = await self.opened()
        data = os.urandom(8 * MIB)
        sent, size = 0, 1
        while sent < len(data):
            client.send(data[sent : sent + size])
            sent, size = sent + size, min(size * 3 + 1, 200_000)
        received = await self.screen.last.take(len(data), 30)
        self.assertEqual(hashlib.sha256(received).digest(), hashlib.sha256(data).digest())

    def setUp(self):
        super().setUp()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)

    async def stalled(self, transport, write, total):
        """``write`` up to ``total`` bytes until the transport takes no more."""
        state = Pusher(transport, write, total)
        transport.registerProducer(state, True)
        state.resumeProducing()
        last = -1
        while state.sent != last:
            last = state.sent
            await sleep(0.5)
        return state

    async def test_client_that_does_not_read(self):
        """While the browser does not read, the screen is held and memory hardly grows; when it
        reads again it gets everything."""
        client = await self.opened()
        client.transport.pauseProducing()
        before = memory_bytes()
        pixels = self.screen.last.transport
        state = await self.stalled(pixels, pixels.write, 64 * MIB)
        self.assertLess(state.sent, 40 * MIB)  # what the kernel's socket buffers hold
        self.assertLess(memory_bytes() - before, 2 * MIB)
        client.transport.resumeProducing()
        digest = hashlib.sha256()
        for _ in range(64):
            digest.update(await client.stream(MIB, seconds=30))
        self.assertEqual(digest.digest(), state.digest.digest())

    async def test_screen_that_does_not_read(self):
        """While the screen does not read, the browser is held and memory hardly grows; when it
        reads again it gets everything."""
        client = await self.opened()
        self.screen.last.transport.pauseProducing()
        before = memory_bytes()
        state = await self.stalled(client.transport, client.send, 48 * MIB)
        self.assertLess(state.sent, 40 * MIB)
        self.assertLess(memory_bytes() - before, 2 * MIB)
        self.screen.last.transport.resumeProducing()
        received = await self.screen.last.take(48 * MIB, 30)
        self.assertEqual(hashlib.sha256(received).digest(), state.digest.digest())

    async def test_screen_dies_while_the_browser_is_held(self):
        """A browser that was held because the screen did not read hears of its end."""
        client = await self.opened()
        self.screen.last.transport.pauseProducing()
        for _ in range(64):
            client.send(b"k" * 200_000)
        proxy = next(iter(self.factory._connections))
        await eventually(lambda: proxy._session._to_screen.is_closed)
        self.screen.last.transport.abortConnection()
        self.assertEqual((await client.closing())[0], 4503)

    async def test_pings_of_a_client_that_does_not_read(self):
        """A client that asks for pongs and never reads them costs no memory."""
        client = await self.opened()
        client.transport.pauseProducing()
        screen = self.screen.last
        state = await self.stalled(screen.transport, screen.transport.write, 64 * MIB)
        self.assertLess(state.sent, 64 * MIB)
        before = memory_bytes()
        for _ in range(40):
            for _ in range(1000):
                client.send(b"p" * 125, opcode=9)
            await sleep(0.01)
        client.send(b"all were read")
        await screen.take(13, 20)
        self.assertLess(memory_bytes() - before, 2 * MIB)

    async def test_ping(self):
        """A ping of a client that reads is answered."""
        client = await self.opened()
        client.send(b"are you there", opcode=9)
        self.assertEqual(await client.frame(), (10, b"are you there"))

    async def test_bad_frames(self):
        """Text, unmasked frames, reserved bits and oversized frames end the connection."""
        for bad in (
            b"\x81\x82\0\0\0\0hi",
            b"\x82\x02hi",
            b"\xf2\x82\0\0\0\0hi",
            b"\x82\xff" + (1 << 30).to_bytes(8, "big") + b"\0\0\0\0",
            b"\x83\x80\0\0\0\0",
            os.urandom(64),
        ):
            client = await self.opened()
            client.transport.write(bad)
            if bad == b"\x82\x02hi":
                self.assertEqual(bytes(self.screen.last.buffer), b"")
            await self.screen.last.lost
        await eventually(lambda: len(self.sessions) == 0)


class Pusher:
    """A push producer that writes until it is stopped."""

    def __init__(self, transport, write, total):
        self.transport, self.write, self.total, self.sent = transport, write, total, 0
        self.digest = hashlib.sha256()
        self.flowing = False

    def resumeProducing(self):
        if not self.flowing:
            self.flowing = True
            self.push()

    def push(self):
        while self.flowing and self.sent < self.total:
            piece = self.sent.to_bytes(8, "big") * 2048
            self.sent += len(piece)
            self.digest.update(piece)
            self.write(piece)
        if self.sent >= self.total:
            self.transport.unregisterProducer()

    def pauseProducing(self):
        self.flowing = False

    stopProducing = pauseProducing


class LogTests(ConsoleTestCase):
    async def test_ticket_and_password_are_in_no_log_line(self):
        """Whatever a client does with its ticket, no log event holds it, at any level."""
        events = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        txaio.set_global_log_level("trace")
        self.addCleanup(txaio.set_global_log_level, "info")
        ticket = self.issue()
        for path in (
            f"/console/{ticket}?x",
            f"//{ticket}",
            f"/console/{ticket}#x",
            f"http://[{ticket}",
        ):
            client = await self.connect()
            client.ask(path)
            await client.lost
        client = await self.connect()
        client.ask(f"/console/{ticket}", host="a:b")
        await client.lost
        for _ in range(2):
            client = await self.connect()
            await client.upgrade(ticket)
            if ticket in self.targets.tickets:
                await client.authenticate()
        self.assertEqual((await client.closing())[0], 4401)
        self.assertTrue(any("console closed: 4401" in (formatEvent(each) or "") for each in events))
        for event in events:
            text = formatEvent(event) + repr(event)
            self.assertNotIn(ticket, text)
            self.assertNotIn("s3cretPw", text)
