"""Both ends of a console for the tests: a browser's websocket written by hand, so that it can
misbehave, and a hypervisor's VNC server."""

from __future__ import annotations

import os
import struct
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.python.filepath import FilePath
from twisted.trial.unittest import TestCase

from synnefo_tx.console.certificate import self_signed, tls_options
from synnefo_tx.console.listener import ConsoleListener
from synnefo_tx.console.model import ConsoleLimits, Target, bad_ticket
from synnefo_tx.console.proxy import ConsoleFactory
from synnefo_tx.console.rfb import VERSION_3_8, vnc_response
from synnefo_tx.console.session import Surroundings
from synnefo_tx.console.sessions import SessionCheck, Sessions
from synnefo_tx.timers import Periodic

ORIGIN = "https://cloud.example.org"
PASSWORD = "s3cretPw"
GREETING = VERSION_3_8 + b"\x01\x01" + b"\0\0\0\0"
SERVER_INIT = b"640x480 of a test"


def sleep(seconds):
    return deferLater(reactor, seconds, lambda: None)


def ticket_of(number):
    return f"{number:043d}"


async def eventually(condition, seconds=5.0):
    """Wait until ``condition()`` holds; fails after ``seconds``."""
    deadline = reactor.seconds() + seconds
    while not condition():
        if reactor.seconds() > deadline:
            raise AssertionError("it did not come to pass")
        await sleep(0.01)


class Wire(Protocol):
    """A connection that is read by awaiting."""

    def __init__(self):
        self.buffer = bytearray()
        self.lost = Deferred()
        self.is_lost = False
        self._wanted = None

    def dataReceived(self, data):
        self.buffer += data
        self._look()

    def connectionLost(self, reason):
        self.is_lost = True
        self._look()
        self.lost.callback(None)

    async def until(self, ready, seconds=5.0):
        """Wait until ``ready(buffer)`` is true; raises EOFError when the connection ends first."""
        self._wanted = (ready, Deferred())
        waiting = self._wanted[1].addTimeout(seconds, reactor)
        self._look()
        return await waiting

    def _look(self):
        if self._wanted is None:
            return
        ready, waiting = self._wanted
        if ready(self.buffer):
            self._wanted = None
            waiting.callback(None)
        elif self.is_lost:
            self._wanted = None
            waiting.errback(EOFError(bytes(self.buffer[:200])))

    async def take(self, count, seconds=5.0):
        """Exactly ``count`` bytes."""
        await self.until(lambda buffer: len(buffer) >= count, seconds)
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken


class BrowserWire(Wire):
    """A websocket client."""

    def ask(self, path, origin=ORIGIN, protocol="binary", host="127.0.0.1", extra=()):
        """Send the head of an upgrade; a header given as None is left out."""
        lines = [f"GET {path} HTTP/1.1"]
        for name, value in (
            ("Host", host),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Version", "13"),
            ("Origin", origin),
            ("Sec-WebSocket-Protocol", protocol),
            *extra,
        ):
            if value is not None:
                lines.append(f"{name}: {value}")
        self.transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def reply(self):
        """The status line and headers of the answer."""
        await self.until(lambda buffer: b"\r\n\r\n" in buffer)
        head, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer[:] = rest
        return head.decode()

    async def upgrade(self, ticket, **parts):
        self.ask(f"/console/{ticket}", **parts)
        head = await self.reply()
        assert head.startswith("HTTP/1.1 101"), head
        assert "Sec-WebSocket-Protocol: binary" in head, head

    def send(self, payload, opcode=2):
        """One masked frame."""
        count = len(payload)
        if count < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | count)
        elif count < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 0xFE, count)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0xFF, count)
        mask = os.urandom(4)
        repeated = (mask * (count // 4 + 1))[:count]
        masked = int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")
        self.transport.write(head + mask + masked.to_bytes(count, "big"))

    async def frame(self, seconds=5.0):
        """(opcode, payload) of the next frame."""
        first, length = await self.take(2, seconds)
        if length == 126:
            (length,) = struct.unpack("!H", await self.take(2, seconds))
        elif length == 127:
            (length,) = struct.unpack("!Q", await self.take(8, seconds))
        return first & 0x0F, await self.take(length, seconds)

    async def stream(self, count, seconds=5.0):
        """``count`` bytes of the console's stream, which frames may cut anyhow."""
        data = getattr(self, "_stream", b"")
        pieces = [data]
        have = len(data)
        while have < count:
            opcode, payload = await self.frame(seconds)
            if opcode == 8:
                raise EOFError(payload)
            if opcode == 2:
                pieces.append(payload)
                have += len(payload)
        data = b"".join(pieces)
        self._stream = data[count:]
        return data[:count]

    async def closing(self, seconds=5.0):
        """(code, reason) of the close frame, whatever comes before it."""
        while True:
            opcode, payload = await self.frame(seconds)
            if opcode == 8:
                return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    async def authenticate(self, password=PASSWORD):
        """RFB up to the security result, which is returned."""
        assert await self.stream(12) == VERSION_3_8
        self.send(VERSION_3_8)
        assert await self.stream(2) == b"\x01\x02"
        self.send(b"\x02")
        self.send(vnc_response(password, await self.stream(16)))
        return await self.stream(4)

    async def enter(self, ticket):
        """Everything up to the screen's first bytes."""
        await self.upgrade(ticket)
        assert await self.authenticate() == b"\0\0\0\0"
        self.send(b"\x01")
        assert await self.stream(len(SERVER_INIT)) == SERVER_INIT


class ScreenWire(Wire):
    """One connection of the hypervisor's VNC server: greets, then is the test's to play."""

    greeting = GREETING

    def connectionMade(self):
        self.factory.connections.append(self)
        if self.factory.greeting is not None:
            self.transport.write(self.factory.greeting)
        if self.factory.greeting == GREETING:
            Deferred.fromCoroutine(self._begin()).addErrback(lambda f: f.trap(EOFError))

    async def _begin(self):
        await self.take(12 + 1 + 1, seconds=60)
        self.transport.write(SERVER_INIT)


class ScreenServer(Factory):
    protocol = ScreenWire
    noisy = False

    def __init__(self):
        self.connections = []
        self.greeting = GREETING

    @property
    def last(self):
        return self.connections[-1]


class MemoryTargets:
    """Tickets and verdicts in memory; each ticket works once."""

    def __init__(self):
        self.tickets = {}
        self.refusals = {}
        self.ended = []
        self.lost = {}
        self.asked = 0
        self.fails = False

    async def open(self, ticket, remote, lost):
        outcome = self.tickets.pop(ticket, bad_ticket())
        if isinstance(outcome, Target):
            self.lost[outcome.session_key] = lost
        return outcome

    async def verify(self, targets):
        self.asked += 1
        if self.fails:
            raise ConnectionError("no database")
        keys = {each.session_key for each in targets}
        return {key: refusal for key, refusal in self.refusals.items() if key in keys}

    async def closed(self, target):
        self.ended.append(target.session_key)

    async def explain_loss(self, target):
        return (await self.verify([target])).get(target.session_key)


class ConsoleTestCase(TestCase):
    """A console listening on loopback, a screen behind it, and clients."""

    timeout = 60
    limits = ConsoleLimits(screen_ports=(1, 65535), check_seconds=0.1, closing_seconds=0.5)
    certificate_files = None

    def setUp(self):
        cls = ConsoleTestCase
        if cls.certificate_files is None or not cls.certificate_files[0].exists():
            folder = Path(self.mktemp()).absolute()
            cls.certificate_files = self_signed(folder, ["console.test"], datetime.now(UTC))
        self.targets = MemoryTargets()
        self.sessions = Sessions(self.limits)
        self.factory = ConsoleFactory(
            Surroundings(reactor, self.targets, self.sessions, self.limits, os.urandom),
            frozenset({ORIGIN}),
        )
        tls = tls_options(*self.certificate_files)
        self.listener = ConsoleListener(reactor, self.factory, "127.0.0.1", 0, tls)
        self.listener.startService()
        check = SessionCheck(self.sessions, self.targets, self.limits, reactor)
        self.checking = Periodic("consoles", self.limits.check_seconds, check.check, reactor)
        self.checking.startService()
        self.screen = ScreenServer()
        self.screen_port = reactor.listenTCP(0, self.screen, interface="127.0.0.1")
        self.clients = []
        self.numbers = iter(range(1, 10000))

    async def tearDown(self):
        await self.checking.stopService()
        for client in self.clients:
            if not client.is_lost:
                client.transport.abortConnection()
        await self.listener.stopService()
        await self.screen_port.stopListening()
        for connection in self.screen.connections:
            connection.transport.abortConnection()
            await connection.lost
        for client in self.clients:
            await client.lost
        self.assertEqual((len(self.sessions), self.factory.connection_count), (0, 0))

    def issue(self, **changes):
        """A ticket to the screen."""
        number = next(self.numbers)
        target = Target(
            session_key=f"session-{number}",
            user_uuid="user",
            server_id=number,
            instance="instance",
            host="127.0.0.1",
            port=self.screen_port.getHost().port,
            password=PASSWORD,
        )
        self.targets.tickets[ticket_of(number)] = evolve(target, **changes)
        return ticket_of(number)

    async def connect(self):
        """A client whose TLS is verified against the console's own certificate."""
        root = Certificate.loadPEM(FilePath(str(self.certificate_files[0])).getContent())
        plain = TCP4ClientEndpoint(reactor, "127.0.0.1", self.listener.port)
        options = optionsForClientTLS("localhost", trustRoot=root)
        factory = Factory.forProtocol(BrowserWire)
        factory.noisy = False
        client = await wrapClientTLS(options, plain).connect(factory)
        self.clients.append(client)
        return client

    async def opened(self, **changes):
        """A client that sees the screen."""
        client = await self.connect()
        await client.enter(self.issue(**changes))
        return client
