"""What the outbox of changes costs those who write: the same requests with its triggers and
without, in many short turns; first while nobody follows the stream, then while somebody does."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from twisted.internet.threads import deferToThread

from bench.client import ask_many, request_bytes
from bench.cloud import IMAGE, BenchCloud
from bench.measure import Cost, Measurement, Side, compare
from bench.servers_create import PATH, first_server, hold_jobs
from synnefo_tx.db.embedded import Server

AIM = 0.95
RENAMES, CREATES, REPEATS = 200, 40, 25
RECEIVE_BYTES = 1 << 16
TRIGGERS = """
SELECT c.relname, t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE t.tgname LIKE 'note%'
"""


async def measure() -> list[Measurement]:
    """Compare renames and creates, with the outbox and with none."""
    bench = BenchCloud(job_seconds=0.01)
    try:
        await bench.start()
        wanted = {"name": "bench", "flavorRef": bench.flavor, "imageRef": IMAGE}
        await first_server(bench, wanted)
        await hold_jobs(bench)
        (server,) = (await bench.ask("GET", PATH))["servers"]
        body = json.dumps({"server": {"name": "renamed"}}).encode()
        rename = request_bytes("PUT", f"{PATH}/{server['id']}", bench.token, body)
        create = request_bytes("POST", PATH, bench.token, json.dumps({"server": wanted}).encode())
        found: Any = await deferToThread(compare_all, bench, rename, create)
    finally:
        await bench.end()
    return found


def compare_all(bench: BenchCloud, rename: bytes, create: bytes) -> list[Measurement]:
    """Both requests, while nobody follows and while a client of their user does."""
    found = [
        measured(bench, "PUT server with the outbox", rename, RENAMES),
        measured(bench, "POST servers with the outbox", create, CREATES),
    ]
    with following(bench):
        found += [
            measured(bench, "PUT server, followed", rename, RENAMES),
            measured(bench, "POST servers, followed", create, CREATES),
        ]
    return found


@contextmanager
def following(bench: BenchCloud) -> Iterator[None]:
    """Have a client follow the stream and read all that it is told."""
    place = urlsplit(bench.cloud.url)
    assert place.hostname is not None and place.port is not None
    stream = socket.create_connection((place.hostname, place.port))
    stream.sendall(request_bytes("GET", "/events/v1", bench.token))
    reader = Thread(target=drain, args=[stream])
    reader.start()
    try:
        yield
    finally:
        stream.shutdown(socket.SHUT_RDWR)
        reader.join()
        stream.close()


def drain(stream: socket.socket) -> None:
    """Read to the end."""
    while stream.recv(RECEIVE_BYTES):
        pass


def measured(bench: BenchCloud, name: str, request: bytes, count: int) -> Measurement:
    """Commits per second, as the time of one."""
    costs = compare(sides(bench, request), count, REPEATS)
    ours, peer = (Cost(1e6 / each.per_second, each.per_second) for each in costs.values())
    return Measurement(name, ours, peer, AIM, "wall µs per request")


def sides(bench: BenchCloud, request: bytes) -> tuple[Side, Side]:
    """The same requests, with the triggers and without."""

    def work(enabled: bool) -> Callable[[int], None]:
        def ask(count: int) -> None:
            ask_many(bench.cloud.url, request, count, 1)

        return lambda count: (switch(bench, enabled), ask(count))[1]

    processes = [*bench.processes, bench.postgres]
    return Side("with", processes, work(True)), Side("without", processes, work(False))


def switch(bench: BenchCloud, enabled: bool) -> None:
    """Have the triggers fire, or not."""
    connection = psycopg2.connect(Server(bench.cloud.home / "postgresql").url)
    with connection, connection.cursor() as cursor:
        cursor.execute(TRIGGERS)
        for table, trigger in cursor.fetchall():
            word = "ENABLE" if enabled else "DISABLE"
            cursor.execute(f"ALTER TABLE {table} {word} TRIGGER {trigger}")
    connection.close()
