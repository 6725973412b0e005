"""What the endpoints' wrapper costs: a fixed document through it, and through bare Klein."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread

from bench.client import ask_many, request_bytes
from bench.measure import Measurement, Side, compare
from tests.support.http import request
from tests.support.processes import free_ports, until

REQUESTS = 4000
TOKEN = "any"
DOCUMENT = b'{"servers": "' + b"x" * 1000 + b'"}'
PATH = "/compute/v2.0/servers/detail"
WAIT_SECONDS = 30.0
STOP_SECONDS = 10.0
AIM = 0.6


async def measure() -> list[Measurement]:
    """One document, kept in memory on both sides."""
    with tempfile.TemporaryDirectory(prefix="synnefo-bench-") as folder:
        body = Path(folder) / "body.json"
        body.write_bytes(DOCUMENT)
        started = [spawn(module, body) for module in ("wrapper_service", "peers.klein_bytes")]
        try:
            sides = [await side(*each) for each in started]
            costs: Any = await deferToThread(compare, sides, REQUESTS)
        finally:
            for process, _ in started:
                process.terminate()
                process.wait(STOP_SECONDS)
    ours, klein = (costs[each.name] for each in sides)
    return [Measurement("wrapper of a fixed document, Klein", ours, klein, AIM)]


def spawn(module: str, body: Path) -> tuple[subprocess.Popen[bytes], str]:
    """A side's process and URL."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", f"bench.{module}", str(port), str(body)]
    process = subprocess.Popen(command, env=dict(os.environ), stderr=subprocess.DEVNULL)
    return process, f"http://127.0.0.1:{port}"


async def side(process: subprocess.Popen[bytes], url: str) -> Side:
    """A side, once it serves."""

    async def serves() -> bool:
        try:
            answer = await request(url, "GET", PATH, token=TOKEN)
        except Exception:
            if process.poll() is not None:
                raise
            return False
        return answer.body == DOCUMENT

    await until(serves, WAIT_SECONDS, f"{url} serves")
    wanted = request_bytes("GET", PATH, TOKEN)
    return Side(url, [process.pid], lambda count: ask_many(url, wanted, count))
