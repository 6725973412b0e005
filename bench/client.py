"""A blocking HTTP client that costs little: kept connections, one thread each."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

CONNECTIONS = 4
TIMEOUT_SECONDS = 30.0


class Connection:
    """A connection to a server, kept for as long as the server keeps it."""

    def __init__(self, url: str) -> None:
        self._place = urlsplit(url)
        self._open()

    def _open(self) -> None:
        place = self._place
        assert place.hostname is not None and place.port is not None
        self._socket = socket.create_connection((place.hostname, place.port), TIMEOUT_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._socket.sendall(request)
        line = self._file.readline()
        if not line:
            raise EOFError("closed without an answer")
        if not line.startswith(b"HTTP/1.1 "):
            raise RuntimeError(f"{self._place.geturl()} answers {line[:80]!r}")
        status, length, closes = int(line.split()[1]), 0, False
        while (line := self._file.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
            elif name.lower() == b"connection":
                closes = value.strip().lower() == b"close"
        body = self._file.read(length)
        if closes:
            self.close()
            self._open()
        return status, body

    def close(self) -> None:
        """Close it."""
        self._file.close()
        self._socket.close()


def request_bytes(method: str, path: str, token: str, body: bytes = b"") -> bytes:
    """A request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nX-Auth-Token: {token}\r\n"
    if body:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def ask_many(
    url: str, request: bytes, count: int, connections: int = CONNECTIONS, status: int = 0
) -> None:
    """Ask ``count`` times over some connections at once.

    Raises unless all are answered ``status``, or 2xx where that is 0.
    """

    def some(share: int) -> None:
        connection = Connection(url)
        try:
            for _ in range(share):
                answered, body = connection.ask(request)
                if answered != status if status else not 200 <= answered < 300:
                    raise RuntimeError(f"{answered}: {body[:200]!r}")
        finally:
            connection.close()

    with ThreadPoolExecutor(connections) as threads:
        list(threads.map(some, [count // connections] * connections))
