"""A small VNC client (RFC 6143) for tests: handshake, and the pixels of one update."""

import struct
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol


class RfbClient(Protocol):
    """Reads what it is told to, in order; ``lost`` fires when the connection ends."""

    transport: Any

    def __init__(self):
        self.buffer = b""
        self.wanted: tuple[int, Deferred[bytes]] | None = None
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data):
        self.buffer += data
        self._serve()

    def connectionLost(self, reason=None):
        self.lost.callback(None)
        if self.wanted is not None:
            wanted, self.wanted = self.wanted, None
            wanted[1].errback(EOFError("the server closed the connection"))

    def _serve(self):
        if self.wanted is not None and len(self.buffer) >= self.wanted[0]:
            (size, reading), self.wanted = self.wanted, None
            part, self.buffer = self.buffer[:size], self.buffer[size:]
            reading.callback(part)

    def read(self, size):
        """The next ``size`` bytes. Fails with EOFError when the server closes."""
        reading: Deferred[bytes] = Deferred()
        self.wanted = (size, reading)
        self._serve()
        return reading

    async def handshake(self):
        """Version 3.8, security None; size (width, height) and name of the screen."""
        banner = await self.read(12)
        assert banner == b"RFB 003.008\n", banner
        self.transport.write(banner)
        (count,) = await self.read(1)
        assert 1 in await self.read(count)
        self.transport.write(b"\x01")
        assert await self.read(4) == b"\0\0\0\0"
        return await self.enter()

    async def enter(self):
        """ClientInit of a shared session; size (width, height) and name of the screen."""
        self.transport.write(b"\x01")
        width, height, length = struct.unpack(">HH16xI", await self.read(24))
        name = await self.read(length)
        return (width, height), name.decode()

    def set_encodings(self, *encodings):
        """SetEncodings."""
        self.transport.write(struct.pack(f">BxH{len(encodings)}i", 2, len(encodings), *encodings))

    def request(self, width, height, incremental=False, x=0, y=0):
        """FramebufferUpdateRequest."""
        self.transport.write(struct.pack(">BBHHHH", 3, incremental, x, y, width, height))

    def key(self, symbol, down=True):
        """KeyEvent."""
        self.transport.write(struct.pack(">BBxxI", 4, down, symbol))

    async def update(self, bytes_per_pixel=4):
        """The rectangles of the next update: (x, y, width, height, pixels)."""
        (count,) = struct.unpack(">xxH", await self.read(4))
        rectangles = []
        for _ in range(count):
            x, y, width, height, encoding = struct.unpack(">HHHHi", await self.read(12))
            assert encoding == 0, encoding
            pixels = await self.read(width * height * bytes_per_pixel)
            rectangles.append((x, y, width, height, pixels))
        return rectangles
