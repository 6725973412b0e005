"""Screens of instances in memory, seen by a VNC client."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.test import iosim
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.memory.vnc import (
    CLOCK_AREA,
    FOREGROUND,
    HANDSHAKE_SECONDS,
    HEIGHT,
    MAX_CLIENTS,
    WIDTH,
    PixelFormat,
    Screen,
    screen_rows,
)
from tests.ganeti.rfb_client import RfbClient

WHITE = PixelFormat().pixel(FOREGROUND)


class ScreenTests(SynchronousTestCase):
    """A screen on a given clock."""

    def setUp(self):
        self.clock = Clock()
        self.screen = Screen("snf-7", self.clock)
        self.screen.doStart()
        self.pumps = []

    def tearDown(self):
        self.screen.doStop()

    def viewer(self):
        client, server = RfbClient(), self.screen.buildProtocol(None)
        pump = iosim.connect(
            server,
            iosim.FakeTransport(server, isServer=True),
            client,
            iosim.FakeTransport(client, isServer=False),
        )
        self.pumps.append(pump)
        return client

    def flush(self):
        for pump in self.pumps:
            pump.flush()

    def wait(self, coroutine):
        return Deferred.fromCoroutine(coroutine)

    def done(self, coroutine):
        result = self.wait(coroutine)
        for _ in range(10):
            self.flush()
        return self.successResultOf(result)

    def ready(self):
        client = self.viewer()
        self.assertEqual(self.done(client.handshake()), ((WIDTH, HEIGHT), "snf-7"))
        return client

    def drawn(self, rectangle):
        """The rectangle's pixels as a byte each: 1 where there is text."""
        pixels = rectangle[4]
        return [pixels[at : at + 4] == WHITE for at in range(0, len(pixels), 4)]

    def test_name_and_clock(self):
        """The whole screen shows the instance's name and the time."""
        client = self.ready()
        client.request(WIDTH, HEIGHT)
        (rectangle,) = self.done(client.update())
        self.assertEqual(rectangle[:4], (0, 0, WIDTH, HEIGHT))
        expected = [bool(dot) for row in screen_rows("snf-7", "00:00:00") for dot in row]
        self.assertEqual(self.drawn(rectangle), expected)
        self.assertGreater(sum(expected), 500)

    def test_incremental(self):
        """An incremental request is answered when the clock has moved, with the clock's part."""
        client = self.ready()
        client.request(WIDTH, HEIGHT)
        self.done(client.update())
        client.request(WIDTH, HEIGHT, incremental=True)
        update = self.wait(client.update())
        self.flush()
        self.assertNoResult(update)
        self.clock.advance(1)
        self.flush()
        (rectangle,) = self.successResultOf(update)
        self.assertEqual(rectangle[:4], (0, CLOCK_AREA.y, WIDTH, CLOCK_AREA.height))
        rows = screen_rows("snf-7", "00:00:01")[CLOCK_AREA.y : CLOCK_AREA.y + CLOCK_AREA.height]
        self.assertEqual(self.drawn(rectangle), [bool(dot) for row in rows for dot in row])
        self.clock.advance(5)
        self.flush()
        self.assertEqual(client.buffer, b"")

    def test_part_of_the_screen(self):
        """A client that wants a part gets that part, and only what has changed in it."""
        client = self.ready()
        client.request(40, HEIGHT, x=10)
        (rectangle,) = self.done(client.update())
        self.assertEqual(rectangle[:4], (10, 0, 40, HEIGHT))
        client.request(40, HEIGHT, incremental=True, x=10)
        self.clock.advance(1)
        (rectangle,) = self.done(client.update())
        self.assertEqual(rectangle[:4], (10, CLOCK_AREA.y, 40, CLOCK_AREA.height))
        client.request(40, 10, incremental=True)
        self.clock.advance(1)
        self.flush()
        self.assertEqual(client.buffer, b"")

    def test_harmless_messages(self):
        """Keys, pointers, pasted text and encodings change nothing."""
        client = self.ready()
        client.set_encodings(0, -239, 7)
        client.key(0xFF0D)
        client.transport.write(struct.pack(">BBHH", 5, 1, 10, 10))
        client.transport.write(struct.pack(">BxxxI", 6, 5) + b"hello")
        client.transport.write(struct.pack(">BxxxI", 6, 0))
        client.request(2, 2, x=WIDTH - 1, y=HEIGHT - 1)
        (rectangle,) = self.done(client.update())
        self.assertEqual(rectangle[:4], (WIDTH - 1, HEIGHT - 1, 1, 1))

    def test_other_pixel_format(self):
        """A client's own true-colour format is used."""
        client = self.ready()
        fmt = PixelFormat(16, 16, True, (31, 63, 31), (11, 5, 0))
        client.transport.write(b"\0\0\0\0" + fmt.encode())
        client.request(WIDTH, HEIGHT)
        ((*_, pixels),) = self.done(client.update(bytes_per_pixel=2))
        self.assertEqual(
            {pixels[at : at + 2] for at in range(0, len(pixels), 2)},
            {fmt.pixel(FOREGROUND), fmt.pixel((24, 32, 64))},
        )

    def test_unwanted_clients(self):
        """Other versions, other security, unknown messages and excess end the connection."""
        init = b"RFB 003.008\n\x01\x01"
        for raw in (
            b"RFB 003.003\n",
            b"RFB 003.008\n\x02",
            init + b"\x63",
            init + struct.pack(">BxxxI", 6, 10**9),
            init + struct.pack(">BxH", 2, 60000),
            init + b"\0\0\0\0" + struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 0, 1, 1, 1, 0, 0, 0),
            init + b"\0\0\0\0" + struct.pack(">BBBBHHHBBB3x", 8, 8, 0, 1, 255, 1, 1, 7, 0, 0),
        ):
            client = self.viewer()
            client.transport.write(raw)
            for _ in range(3):
                self.flush()
            self.successResultOf(client.lost)
        self.assertEqual(self.screen.viewers, set())

    def test_bounds(self):
        """Only so many viewers are let in, and one that does not speak is shown out."""
        clients = [self.viewer() for _ in range(MAX_CLIENTS + 1)]
        self.flush()
        self.successResultOf(clients[-1].lost)
        self.clock.advance(HANDSHAKE_SECONDS)
        self.flush()
        for client in clients[:-1]:
            self.successResultOf(client.lost)

    @given(st.lists(st.binary(max_size=30), max_size=5))
    def test_any_bytes(self, pieces):
        """Whatever a client sends, the server neither breaks nor answers without end."""
        server = Screen("x", Clock()).buildProtocol(None)
        transport = iosim.FakeTransport(server, isServer=True)
        server.makeConnection(transport)
        for piece in (b"RFB 003.008\n\x01\x01", *pieces):
            if not transport.disconnecting:
                server.dataReceived(piece)
        self.assertLess(len(b"".join(transport.stream)), 10 * WIDTH * HEIGHT * 4)
