"""What the outbox of changes costs those who write: the same requests with its triggers and
without, and without anybody who follows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg2
from twisted.internet.threads import deferToThread

from bench.client import ask_many, request_bytes
from bench.cloud import IMAGE, BenchCloud
from bench.measure import Measurement, Side, compare
from bench.servers_create import PATH, first_server, hold_jobs
from synnefo_tx.db.embedded import Server

AIM = 0.95
RENAMES, CREATES = 800, 60
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
        renames: Any = await deferToThread(compare, sides(bench, rename, 1), RENAMES)
        creates: Any = await deferToThread(compare, sides(bench, create, 1), CREATES)
    finally:
        await bench.end()
    return [
        Measurement(f"{name} with the outbox", costs["with"], costs["without"], AIM)
        for name, costs in (("PUT server", renames), ("POST servers", creates))
    ]


def sides(bench: BenchCloud, request: bytes, connections: int) -> tuple[Side, Side]:
    """The same requests, with the triggers and without."""

    def work(enabled: bool) -> Callable[[int], None]:
        def ask(count: int) -> None:
            ask_many(bench.cloud.url, request, count, connections)

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
