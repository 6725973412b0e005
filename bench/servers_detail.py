"""GET servers/detail of 20 servers with two NICs and metadata, cold."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
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
REQUESTS = 1000
PATH = "/compute/v2.0/servers/detail"
KLEIN_COLD_AIM = 0.18
KLEIN_KEPT_AIM = 0.40
FLASK_AIM = 1.5
POLL_AIM = 0.45
THREADS = 4


async def measure() -> list[Measurement]:
    """Pages made anew, pages kept, and polls with nothing new."""
    bench = BenchCloud(job_seconds=0.01, changes={"COMPUTE__KEPT_PAGES_MAX_BYTES": "0"})
    try:
        await bench.start()
        await fill(bench)
        klein, flask = await peers(bench)
        cold: Any = await deferToThread(compare, (own(bench), klein, flask), REQUESTS)
    finally:
        await bench.end()
    bench = BenchCloud(job_seconds=0.01)
    try:
        await bench.start()
        await fill(bench)
        klein, _ = await peers(bench)
        kept: Any = await deferToThread(compare, (own(bench), klein), REQUESTS)
        poll: Any = await deferToThread(compare, await polls(bench), REQUESTS)
    finally:
        await bench.end()
    return [
        Measurement("servers-detail cold, Klein", cold["ours"], cold["klein"], KLEIN_COLD_AIM),
        Measurement("servers-detail kept, Klein", kept["ours"], kept["klein"], KLEIN_KEPT_AIM),
        Measurement("servers-detail cold, Flask", cold["ours"], cold["flask"], FLASK_AIM),
        Measurement("changes-since 304, Klein", poll["ours"], poll["klein 304"], POLL_AIM),
    ]


def own(bench: BenchCloud) -> Side:
    """Our side."""
    return Side("ours", bench.processes, work_on(bench, bench.cloud.url))


async def polls(bench: BenchCloud) -> tuple[Side, Side]:
    """Polls that learn nothing, ours and bare Klein's."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "bench.peers.klein_bytes", str(port), os.devnull]
    klein = await bench.start_peer(command, dict(os.environ), port)
    moment = datetime.now(UTC).isoformat().replace("+", "%2B")
    wanted = request_bytes("GET", f"{PATH}?changes-since={moment}", bench.token)

    def work(url: str) -> Any:
        return lambda count: ask_many(url, wanted, count, status=304)

    return (
        Side("ours", bench.processes, work(bench.cloud.url)),
        Side("klein 304", [klein], work(f"http://127.0.0.1:{port}")),
    )


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
