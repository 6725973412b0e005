"""Requests that nobody should send, by seed; and what they do to a service.

A blast writes raw bytes, so that it may break HTTP itself. What comes back must be an answer that
blames the sender, or a closed connection; never a fault of the service.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import define, field

READ_LIMIT_SECONDS = 10.0
ANSWER_MAX_BYTES = 64 * 1024
REPLIES_KEPT = 5

PATHS = [
    "/compute/v2.0/servers", "/compute/v2.0/servers/detail", "/compute/v2.0/servers/1",
    "/compute/v2.0/servers/1/action", "/compute/v2.0/flavors/detail", "/compute/v2.0/images",
    "/network/v2.0/networks", "/network/v2.0/ports", "/network/v2.0/subnets",
    "/identity/v2.0/tokens", "/identity/v3/auth/tokens", "/account/v1.0/quotas", "/health",
    "/metrics", "/vmapi/v1.0/server-params/x", "/nowhere", "/compute/v2.0/nowhere", "/",
]  # fmt: skip
METHODS = ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "FOO", "get", ""]
TEXTS = [
    "", "0", "-1", "1e999", "9" * 400, "é\u202e", "'; DROP TABLE servers; --", "%s%n", "{{7*7}}",
    "../../etc/passwd", "\u0000", "\ud83d\ude00", "x" * 5000, "true", "null", "\r\nX: y",
]  # fmt: skip


def any_json(rng: random.Random, depth: int = 0) -> object:
    """Some JSON value."""
    kind = rng.randrange(8 if depth < 5 else 5)
    if kind == 5:
        return [any_json(rng, depth + 1) for _ in range(rng.randrange(5))]
    if kind > 5:
        return {rng.choice([*TEXTS, "server", "name"]): any_json(rng, depth + 1)
                for _ in range(rng.randrange(5))}  # fmt: skip
    return [rng.choice(TEXTS), rng.randrange(-(10**30), 10**30), rng.random(), None, True][kind]


def create_body(rng: random.Random) -> bytes:
    """A create with fields that are none of the user's, and values that are none at all."""
    server = {"name": "x", "flavorRef": 1, "imageRef": "x", "personality": []}
    for key in rng.sample([*server, "user_id", "backend", "deleted", "hints", "project"], 3):
        server[key] = any_json(rng)
    return json.dumps({"server": server, "os:scheduler_hints": any_json(rng)}).encode()


def _no_utf8(rng: random.Random) -> bytes:
    return bytes(rng.randrange(256) for _ in range(rng.randrange(2000)))


BODIES: list[Callable[[random.Random], bytes]] = [
    lambda rng: b"",
    _no_utf8,
    lambda rng: json.dumps(any_json(rng)).encode(),
    lambda rng: json.dumps(any_json(rng)).encode("utf-16"),
    lambda rng: b"\xef\xbb\xbf{}",
    lambda rng: b"[" * rng.randrange(1, 100_000),
    lambda rng: b'{"a":' * 5000 + b"1" + b"}" * 5000,
    lambda rng: b'{"server": {}, "server": {}}',
    lambda rng: b'{"server": ' + b"9" * rng.randrange(1, 50_000) + b"}",
    create_body,
]


def query(rng: random.Random) -> str:
    """Some query string."""
    kind = rng.randrange(5)
    if kind == 0:
        return "?" + "&".join(f"k{number}=v" for number in range(rng.choice([101, 10_000])))
    if kind == 1:
        return "?changes-since=" + rng.choice(["x", "9999-99-99", "2020-01-01T00:00:00%2B00:00"])
    if kind == 2:
        return "?" + "a=%zz&" * rng.randrange(200)
    if kind == 3:
        return "?name=(a%2B)%2B%24&limit=-1&marker=x&is_public=maybe&a=1&a=2"
    return ""


def path(rng: random.Random) -> str:
    """Some path."""
    known = rng.choice(PATHS)
    return rng.choice([
        known, known, known, known + "/", known + "/%252e%252e/%2e%2e", "/" + known,
        known + "/" + "a" * rng.randrange(1, 9000), known + "/%00%ff%fe", known.upper(),
        "/%2e%2e/%2e%2e/etc/passwd", "http://evil.example" + known, known.replace("/", "//"),
    ])  # fmt: skip


def request(rng: random.Random, tokens: list[str]) -> bytes:
    """A request that is HTTP, as far as it goes."""
    body = rng.choice(BODIES)(rng)
    token = rng.choice([*tokens, "x", "x" * 5000, "\x7f", "é"])
    kind = rng.choice(["application/json", "application/xml", "text/plain", "application/json;x"])
    extra = rng.choice([
        "", "X-User-Id: admin\r\nX-Roles: admin\r\n", "Expect: 100-continue\r\n",
        "".join(f"X-{number}: y\r\n" for number in range(rng.choice([10, 600]))),
        f"X-Forwarded-For: {rng.choice(TEXTS[:8])}\r\n", "Range: bytes=0-1,5-,-9\r\n",
    ])  # fmt: skip
    head = (
        f"{rng.choice(METHODS[:4] + METHODS)} {path(rng)}{query(rng)} HTTP/1.1\r\nHost: x\r\n"
        f"X-Auth-Token: {token}\r\nContent-Type: {kind}\r\n{extra}"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("utf-8", "replace") + body


BROKEN = [
    b"\x00\x01\x02\x16\x03\x01 TLS?\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET /health HTTP/1.1\nHost: x\n\n",
    b"POST /identity/v2.0/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Content-Length: 6\r\n\r\nhello",
    b"POST /identity/v2.0/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST /identity/v2.0/tokens HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /identity/v2.0/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /identity/v2.0/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{",
    b"GET / HTTP/1.1\r\n" + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 20_000,
    b"GET " + b"/a" * 60_000 + b" HTTP/1.1\r\n\r\n",
    b"POST /compute/v2.0/servers HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n{",
]


def blast(seed: int, tokens: list[str]) -> tuple[bytes, bool]:
    """What one connection sends, and whether that is a whole request."""
    rng = random.Random(seed)
    if rng.random() < 0.15:
        return rng.choice(BROKEN), False
    sent = request(rng, tokens)
    if rng.random() < 0.05:
        return sent[: rng.randrange(1, len(sent))], False
    return sent, True


@define
class Outcome:
    """How many answers there were by status (0: closed without one), and which were wrong."""

    answers: Counter[int] = field(factory=Counter)
    faults: list[str] = field(factory=list)
    slowest_seconds: float = 0.0

    def note(self, seed: int, answer: bytes, seconds: float) -> None:
        """Count an answer."""
        answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        status = int(answer[9:12]) if answer.startswith(b"HTTP/1.") else 0
        self.answers[status] += 1
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        if status >= 500 and status not in (501, 503) and len(self.faults) < REPLIES_KEPT:
            self.faults.append(f"seed {seed}: {answer[:300]!r}")


def send(port: int, sent: bytes, is_whole: bool) -> bytes:
    """Send to a port of this machine and read the answer; raises TimeoutError without an end."""
    with socket.create_connection(("127.0.0.1", port), READ_LIMIT_SECONDS) as connection:
        answer = b""
        try:
            connection.sendall(sent)
            if not is_whole:
                connection.shutdown(socket.SHUT_WR)
            while len(answer) < ANSWER_MAX_BYTES:
                piece = connection.recv(65536)
                if not piece:
                    break
                answer += piece
        except TimeoutError:
            raise
        except OSError:
            return answer  # it refused to read on
        return answer


def bombard(port: int, tokens: list[str], first_seed: int, seconds: float, threads: int) -> Outcome:
    """Send garbage on some connections at a time for some seconds."""
    outcome, lock, deadline = Outcome(), threading.Lock(), time.monotonic() + seconds

    def some(offset: int) -> None:
        seed = first_seed + offset
        while time.monotonic() < deadline:
            begun = time.monotonic()
            answer = send(port, *blast(seed, tokens))
            with lock:
                outcome.note(seed, answer, time.monotonic() - begun)
            seed += threads

    with ThreadPoolExecutor(threads) as workers:
        list(workers.map(some, range(threads)))
    return outcome


def resident_kib(process: int) -> int:
    """Memory of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])
