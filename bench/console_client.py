"""A client of consoles that costs little: TLS, a websocket or none, RFB, and counting bytes."""

from __future__ import annotations

import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable, Collection, Iterator
from itertools import count as counting

from synnefo_tx.console.rfb import VERSION_3_8, vnc_response

PASSWORD = "s3cretPw"
# RFB 3.8 without authentication (RFC 6143 §7.1 and §7.2): the server's part, then the client's.
GREETING = VERSION_3_8 + b"\x01\x01" + b"\0\0\0\0"
CLIENT_PART = VERSION_3_8 + b"\x01" + b"\x01"
SERVER_INIT = b"640x480 of a bench"
ORDER = struct.Struct("!II")
TICKET = "{port:05d}{number:038d}"
TIMEOUT_SECONDS = 30.0
RECORD_BYTES = 16 * 1024
RECORDS_PER_TURN = 8
BINARY, CLOSE, PING, PONG = 2, 8, 9, 10

_numbers = counting(1)


def port_of(ticket: str) -> int:
    """The port of the screen that a ticket leads to."""
    return int(ticket[:5])


class Stream:
    """The bytes of a console as they are."""

    def __init__(self, port: int, screen_port: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", port), TIMEOUT_SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self.socket = context.wrap_socket(plain)
        self._enter(port, screen_port)
        self.socket.setblocking(False)

    def _enter(self, port: int, screen_port: int) -> None:
        self._authenticate()
        self.send(CLIENT_PART[-1:])
        self.expect(SERVER_INIT)

    def _authenticate(self) -> None:
        self.expect(GREETING)
        self.send(CLIENT_PART[:-1])

    def take(self, size: int) -> bytes:
        """Exactly so many bytes; waits for them."""
        while len(self._buffer) < size:
            self._buffer += b"".join(self.payloads(self._receive()))
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def _receive(self) -> bytes:
        data = self.socket.recv(RECORD_BYTES)
        if not data:
            raise EOFError("the console was closed")
        return data

    def expect(self, wanted: bytes) -> None:
        """Take these bytes. Raises RuntimeError when it is others that come."""
        seen = self.take(len(wanted))
        if seen != wanted:
            raise RuntimeError(f"{seen!r} came for {wanted!r}")

    def send(self, payload: bytes) -> None:
        """Send bytes to the screen."""
        self.socket.sendall(payload)

    def payloads(self, data: bytes) -> Iterator[bytes]:
        """The bytes of the screen among those of the wire."""
        yield data

    def order(self, kib: int, kib_per_second: int = 0) -> None:
        """Have the screen send so much, so fast; 0 is as fast as it is read."""
        self.send(ORDER.pack(kib, kib_per_second))

    def read_bytes(self) -> int:
        """How many bytes of the screen have come; reads a bounded part and does not wait."""
        count = 0
        for _ in range(RECORDS_PER_TURN):
            try:
                data = self._receive()
            except ssl.SSLWantReadError:
                break
            count += sum(map(len, self.payloads(data)))
        return count

    def close(self) -> None:
        """Close it."""
        self.socket.close()


class Websocket(Stream):
    """The same in a websocket (RFC 6455)."""

    def _enter(self, port: int, screen_port: int) -> None:
        self._head = b""
        self._opcode = self._left = 0
        self._control = b""
        ticket = TICKET.format(port=screen_port, number=next(_numbers))
        lines = (
            f"GET /console/{ticket} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket",
            "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Version: 13", f"Origin: https://127.0.0.1:{port}",
            "Sec-WebSocket-Protocol: binary", "", "",
        )  # fmt: skip
        self.socket.sendall("\r\n".join(lines).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._receive()
        head, _, rest = answer.partition(b"\r\n\r\n")
        if b" 101 " not in head.splitlines()[0]:
            raise RuntimeError(f"no websocket: {head!r}")
        self._buffer = b"".join(self.payloads(rest))
        super()._enter(port, screen_port)

    def send(self, payload: bytes) -> None:
        self._send_frame(BINARY, payload)

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        """A frame of less than 126 bytes; with a mask of zeros the payload stays as it is."""
        self.socket.sendall(bytes((0x80 | opcode, 0x80 | len(payload))) + b"\0\0\0\0" + payload)

    def payloads(self, data: bytes) -> Iterator[bytes]:
        data, self._head = self._head + data, b""
        position = 0
        while position < len(data):
            if self._left == 0:
                size = self._read_head(data, position)
                if size == 0:
                    self._head = data[position:]
                    return
                position += size
            piece = data[position : position + self._left]
            position += len(piece)
            self._left -= len(piece)
            if self._opcode < CLOSE:
                yield piece
            else:
                self._take_control(piece)

    def _read_head(self, data: bytes, position: int) -> int:
        """Read the head of a frame; its size, 0 when it is not whole yet."""
        left = len(data) - position
        if left < 2:
            return 0
        first, length = data[position], data[position + 1]
        size = {126: 4, 127: 10}.get(length, 2)
        if left < size:
            return 0
        if size > 2:
            length = int.from_bytes(data[position + 2 : position + size], "big")
        self._opcode, self._left = first & 0x0F, length
        return size

    def _take_control(self, piece: bytes) -> None:
        self._control += piece
        if self._left:
            return
        payload, self._control = self._control, b""
        if self._opcode == CLOSE:
            raise EOFError(f"the console was closed: {payload!r}")
        if self._opcode == PING:
            self._send_frame(PONG, payload)


class Console(Websocket):
    """Ours: it asks for a password, whatever the screen does."""

    def _authenticate(self) -> None:
        self.expect(VERSION_3_8)
        self.send(VERSION_3_8)
        self.expect(b"\x01\x02")
        self.send(b"\x02")
        self.send(vnc_response(PASSWORD, self.take(16)))
        self.expect(b"\0\0\0\0")


def read_all(streams: Collection[Stream], goes_on: Callable[[dict[Stream, int]], bool]) -> None:
    """Read from all in turns while ``goes_on(bytes of each)``.

    Raises TimeoutError when nothing comes for long.
    """
    seen = dict.fromkeys(streams, 0)
    heard = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.socket, selectors.EVENT_READ, stream)
        while goes_on(seen):
            for key, _ in selector.select(1.0):
                count = key.data.read_bytes()
                seen[key.data] += count
                if count:
                    heard = time.monotonic()
            if time.monotonic() - heard > TIMEOUT_SECONDS:
                raise TimeoutError(f"{sum(seen.values())} bytes came, then none")
