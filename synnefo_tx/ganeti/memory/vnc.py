"""Screens of instances: a small VNC server each (RFB 3.8, RFC 6143).

The screen shows the instance's name and a clock. Security type None, encoding Raw, the server's
own pixel format or a client's true-colour one. Keys and pointers are read and ignored.
"""

# mypy: disallow-untyped-calls=False
# (twisted.protocols.policies is not annotated)
from __future__ import annotations

import struct
import time
from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure

from synnefo_tx.ganeti.memory.font import text_rows

WIDTH, HEIGHT = 320, 120
MAX_CLIENTS = 8
HANDSHAKE_SECONDS = 30.0
REDRAW_SECONDS = 1.0

BACKGROUND = (24, 32, 64)
FOREGROUND = (255, 255, 255)

_VERSION = b"RFB 003.008\n"
_NAME_SCALE, _CLOCK_SCALE = 3, 4
_NAME_AT, _CLOCK_AT = (16, 20), (16, 70)
_TEXT_MAX_BYTES = 64 * 1024
_ENCODINGS_MAX = 1024


@frozen
class PixelFormat:
    """A true-colour pixel format (RFC 6143 §7.4)."""

    bits: int = 32
    depth: int = 24
    big_endian: bool = False
    maxima: tuple[int, int, int] = (255, 255, 255)
    shifts: tuple[int, int, int] = (16, 8, 0)

    def encode(self) -> bytes:
        """As ServerInit carries it."""
        return struct.pack(
            ">BBBBHHHBBB3x",
            self.bits,
            self.depth,
            self.big_endian,
            True,
            *self.maxima,
            *self.shifts,
        )

    def pixel(self, colour: tuple[int, int, int]) -> bytes:
        """A pixel of this colour."""
        value = 0
        for part, maximum, shift in zip(colour, self.maxima, self.shifts, strict=True):
            value |= (part * maximum // 255) << shift
        return value.to_bytes(self.bits // 8, "big" if self.big_endian else "little")


class Unsupported(Exception):
    """The client asks for what this server does not have; the connection ends."""


def decode_format(raw: bytes) -> PixelFormat:
    """The format that a client sets. Raises Unsupported."""
    bits, depth, big_endian, true_colour, *rest = struct.unpack(">BBBBHHHBBB3x", raw)
    maxima, shifts = tuple(rest[:3]), tuple(rest[3:])
    fits = all(
        (maximum << shift).bit_length() <= bits
        for maximum, shift in zip(maxima, shifts, strict=True)
    )
    if bits not in (8, 16, 32) or not true_colour or not fits:
        raise Unsupported("only true-colour formats of 8, 16 and 32 bits")
    return PixelFormat(bits, depth, bool(big_endian), maxima, shifts)


def screen_rows(name: str, clock: str) -> list[bytes]:
    """The screen, a byte per pixel: 1 where there is text."""
    rows = [bytearray(WIDTH) for _ in range(HEIGHT)]
    for text, scale, (left, top) in (
        (name, _NAME_SCALE, _NAME_AT),
        (clock, _CLOCK_SCALE, _CLOCK_AT),
    ):
        for at, dots in enumerate(text_rows(text)):
            line = bytes(dot == "1" for dot in dots for _ in range(scale))[: WIDTH - left]
            for row in range(top + at * scale, top + (at + 1) * scale):
                rows[row][left : left + len(line)] = line
    return [bytes(row) for row in rows]


@frozen
class Area:
    """A part of the screen."""

    x: int = 0
    y: int = 0
    width: int = WIDTH
    height: int = HEIGHT

    @classmethod
    def clipped(cls, x: int, y: int, width: int, height: int) -> Area:
        """What of the area asked for is on the screen."""
        x, y = min(x, WIDTH), min(y, HEIGHT)
        return cls(x, y, min(width, WIDTH - x), min(height, HEIGHT - y))

    def common(self, other: Area) -> Area:
        """What both cover, possibly nothing."""
        left, top = max(self.x, other.x), max(self.y, other.y)
        right = min(self.x + self.width, other.x + other.width)
        bottom = min(self.y + self.height, other.y + other.height)
        return Area(left, top, max(0, right - left), max(0, bottom - top))


CLOCK_AREA = Area(0, _CLOCK_AT[1], WIDTH, 7 * _CLOCK_SCALE)


def update_message(rows: list[bytes], area: Area, pixels: PixelFormat) -> bytes:
    """A FramebufferUpdate of one Raw rectangle (RFC 6143 §7.6.1, §7.7.1)."""
    head = struct.pack(">BxHHHHHi", 0, 1, area.x, area.y, area.width, area.height, 0)
    dots = (pixels.pixel(BACKGROUND), pixels.pixel(FOREGROUND))
    body = b"".join(
        dots[dot]
        for row in rows[area.y : area.y + area.height]
        for dot in row[area.x : area.x + area.width]
    )
    return head + body


class RfbServer(Protocol, TimeoutMixin):
    """One viewer. Each state takes a number of bytes and gives the next state."""

    factory: Any
    transport: Any

    def __init__(self) -> None:
        self._buffer = b""
        self._pixels = PixelFormat()
        self._shown = ""
        self._wanted: Area | None = None
        self._expect(len(_VERSION), self._version)

    def _expect(self, size: int, then: Callable[[bytes], None]) -> None:
        self._size, self._then = size, then

    def connectionMade(self) -> None:
        self.factory.viewers.add(self)
        if len(self.factory.viewers) > MAX_CLIENTS:
            self.transport.abortConnection()
            return
        self.setTimeout(HANDSHAKE_SECONDS)
        self._send(_VERSION)

    def callLater(self, period: float, func: Callable[[], None]) -> IDelayedCall:
        """The clock of TimeoutMixin."""
        return self.factory.clock.callLater(period, func)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.setTimeout(None)
        self.factory.viewers.discard(self)

    def dataReceived(self, data: bytes) -> None:
        self._buffer += data
        try:
            while len(self._buffer) >= self._size:
                part, self._buffer = self._buffer[: self._size], self._buffer[self._size :]
                self._then(part)
        except Unsupported:
            self._buffer = b""
            self.transport.loseConnection()

    def _send(self, data: bytes) -> None:
        self.transport.write(data)

    def _version(self, part: bytes) -> None:
        if part != _VERSION:
            raise Unsupported("only RFB 3.8")
        self._send(b"\x01\x01")
        self._expect(1, self._security)

    def _security(self, part: bytes) -> None:
        if part != b"\x01":
            raise Unsupported("only security type None")
        self._send(b"\0\0\0\0")
        self._expect(1, self._client_init)

    def _client_init(self, part: bytes) -> None:
        name = self.factory.name.encode()
        size = struct.pack(">HH", WIDTH, HEIGHT)
        self._send(size + self._pixels.encode() + struct.pack(">I", len(name)) + name)
        self.setTimeout(None)
        self._expect(1, self._message)

    def _message(self, part: bytes) -> None:
        sizes = {0: 19, 2: 3, 3: 9, 4: 7, 5: 5, 6: 7}
        actions = {
            0: self._set_format,
            2: self._encodings,
            3: self._requested,
            4: self._ignored,
            5: self._ignored,
            6: self._cut_text,
        }
        if part[0] not in sizes:
            raise Unsupported(f"message type {part[0]}")
        self._expect(sizes[part[0]], actions[part[0]])

    def _ignored(self, part: bytes) -> None:
        self._expect(1, self._message)

    def _set_format(self, part: bytes) -> None:
        self._pixels = decode_format(part[3:])
        self._shown = ""
        self._expect(1, self._message)

    def _encodings(self, part: bytes) -> None:
        (count,) = struct.unpack(">xH", part)
        self._skip(count * 4, _ENCODINGS_MAX * 4)

    def _cut_text(self, part: bytes) -> None:
        (length,) = struct.unpack(">3xI", part)
        self._skip(length, _TEXT_MAX_BYTES)

    def _skip(self, size: int, limit: int) -> None:
        if size > limit:
            raise Unsupported("a message of that length")
        self._expect(size or 1, self._ignored if size else self._message)

    def _requested(self, part: bytes) -> None:
        incremental, x, y, width, height = struct.unpack(">BHHHH", part)
        self._wanted = Area.clipped(x, y, width, height)
        if not incremental:
            self._shown = ""
        self._expect(1, self._message)
        self.draw()

    def draw(self) -> None:
        """Answer the request that is open, if there is something new to show."""
        clock = self.factory.clock_text()
        if self._wanted is None or clock == self._shown:
            return
        area = self._wanted if self._shown == "" else self._wanted.common(CLOCK_AREA)
        if not (area.width and area.height) and self._shown:
            return
        rows = screen_rows(self.factory.name, clock)
        self._wanted, self._shown = None, clock
        self._send(update_message(rows, area, self._pixels))


class Screen(Factory):
    """The screen of one instance, for up to ``MAX_CLIENTS`` viewers."""

    noisy = False

    def __init__(self, name: str, clock: IReactorTime) -> None:
        self.name = name
        self.clock = clock
        self.viewers: set[RfbServer] = set()
        self._redraw: IDelayedCall | None = None

    def buildProtocol(self, addr: IAddress | None) -> Any:
        viewer = RfbServer()
        viewer.factory = self
        return viewer

    def clock_text(self) -> str:
        """The time of day, UTC."""
        return time.strftime("%H:%M:%S", time.gmtime(self.clock.seconds()))

    def doStart(self) -> None:
        self._tick()

    def doStop(self) -> None:
        if self._redraw is not None:
            self._redraw.cancel()
            self._redraw = None
        for viewer in list(self.viewers):
            viewer.transport.abortConnection()

    def _tick(self) -> None:
        self._redraw = self.clock.callLater(REDRAW_SECONDS, self._tick)
        for viewer in list(self.viewers):
            viewer.draw()
