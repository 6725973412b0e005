"""Clients that keep one connection, and know which process answers on it."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

LIMIT_SECONDS = 20


class KeptConnection:
    """One HTTP connection to a process on this machine; ``pid`` is the process's number."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_SECONDS)
        self._connection.connect()

    def ask(self, path: str, token: str = "") -> tuple[int, Any]:
        """Status and document of a GET."""
        return self.send("GET", path, {"X-Auth-Token": token} if token else {})[:2]

    def send(
        self, method: str, path: str, headers: dict[str, str], body: Any = None
    ) -> tuple[int, Any, str | None]:
        """Status and document of a request, and the cookie that it sets."""
        sent = None if body is None else json.dumps(body).encode()
        kind = {} if body is None else {"Content-Type": "application/json"}
        self._connection.request(method, path, sent, headers | kind)
        answer = self._connection.getresponse()
        content = answer.read()
        cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0] or None
        return answer.status, json.loads(content) if content else None, cookie

    def pid_among(self, processes: Collection[int]) -> int | None:
        """Which of these processes has accepted the connection; None when none has yet."""
        local = self._connection.sock.getsockname()[1]
        inode = _inode(self._port, local)
        for pid in processes:
            if inode and inode in _sockets(pid):
                return pid
        return None

    def close(self) -> None:
        """Close it."""
        self._connection.close()


def _inode(server_port: int, client_port: int) -> str | None:
    """The server's end of a connection on loopback, in the kernel's table."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1].endswith(f":{server_port:04X}") and fields[2].endswith(f":{client_port:04X}"):
            return fields[9]
    return None


def _sockets(pid: int) -> set[str]:
    found = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(each)
        except OSError:
            continue  # closed meanwhile
        if target.startswith("socket:["):
            found.add(target.removeprefix("socket:[").rstrip("]"))
    return found
