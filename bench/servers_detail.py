"""GET servers/detail of 20 servers with two NICs and metadata, cold."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread

from bench.client import ask_many, request_bytes
from bench.cloud import IMAGE, WAIT_SECONDS, BenchCloud
from bench.measure import Measurement, Side, compare
from synnefo_tx.db.embedded import Server
from tests.support.http import request
from tests.support.processes import free_ports, until

SERVERS = 20
REQUESTS = 400
PATH = "/compute/v2.0/servers/detail"
KLEIN_AIM = 0.18
FLASK_AIM = 1.5
THREADS = 4


async def measure() -> list[Measurement]:
    """Compare with bare Klein sending the same bytes, and with Flask on the same statements."""
    bench = BenchCloud(job_seconds=0.01)
    try:
        await bench.start()
        await fill(bench)
        klein, flask = await peers(bench)
        own = Side("ours", bench.processes, work_on(bench, bench.cloud.url))
        sides = (own, klein, flask)
        costs: Any = await deferToThread(compare, sides, REQUESTS)
    finally:
        await bench.end()
    return [
        Measurement("servers-detail beside Klein", costs["ours"], costs["klein"], KLEIN_AIM),
        Measurement("servers-detail beside Flask", costs["ours"], costs["flask"], FLASK_AIM),
    ]


async def fill(bench: BenchCloud) -> None:
    """Make the servers, and wait until they run."""
    for number in range(SERVERS):
        wanted = {
            "name": f"server {number}", "flavorRef": bench.flavor, "imageRef": IMAGE,
            "metadata": {"role": "web", "stage": "test"},
            "networks": [{"uuid": str(bench.private)}],
        }  # fmt: skip
        await bench.ask("POST", "/compute/v2.0/servers", {"server": wanted})

    async def active() -> bool:
        listed = (await bench.ask("GET", PATH))["servers"]
        return all((each["status"], len(each["attachments"])) == ("ACTIVE", 2) for each in listed)

    await until(active, WAIT_SECONDS, "all servers are ACTIVE")


async def peers(bench: BenchCloud) -> tuple[Side, Side]:
    """Both peers, serving the same document as we do."""
    klein_port, flask_port = free_ports(2)
    own = await request(bench.cloud.url, "GET", PATH, token=bench.token)
    body = bench.folder / "detail.json"
    body.write_bytes(own.body)
    command = [sys.executable, "-m", "bench.peers.klein_bytes", str(klein_port), str(body)]
    klein = await bench.start_peer(command, dict(os.environ), klein_port)
    gunicorn = str(Path(sys.executable).with_name("gunicorn"))
    command = [
        gunicorn, "-k", "gthread", "--threads", str(THREADS), "--keep-alive", "60",
        "-b", f"127.0.0.1:{flask_port}", "bench.peers.flask_servers:app",
    ]  # fmt: skip
    url = Server(bench.cloud.home / "postgresql").url
    environ = {**os.environ, "DATABASE_URL": url, "BASE_URL": bench.cloud.url}
    flask = await bench.start_peer(command, environ, flask_port)
    sides = []
    for name, port, processes in (
        ("klein", klein_port, [klein]),
        ("flask", flask_port, [flask, bench.postgres]),
    ):
        peer = f"http://127.0.0.1:{port}"
        answer = await request(peer, "GET", PATH, token=bench.token)
        if answer.json != own.json:
            raise RuntimeError(f"{name} serves another document: {answer.body[:300]!r}")
        sides.append(Side(name, processes, work_on(bench, peer)))
    return sides[0], sides[1]


def work_on(bench: BenchCloud, url: str) -> Any:
    """Asks one side."""
    wanted = request_bytes("GET", PATH, bench.token)
    return lambda count: ask_many(url, wanted, count)
