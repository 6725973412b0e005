"""The second start of ``make run``, up to the ready line, beside PostgreSQL's own start."""

from __future__ import annotations

import os
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from twisted.internet.threads import deferToThread

from bench.measure import Cost, Measurement
from synnefo_tx.db.embedded import Server
from tests.support.database import connect_when_ready
from tests.support.processes import free_ports

REPEATS = 3
ALLOWED_SECONDS = 5.0
LIMIT_SECONDS = 60.0


async def measure() -> list[Measurement]:
    """``make run`` may take as long as PostgreSQL and five seconds more."""
    ours, postgres = await deferToThread(start_times)
    allowed = Cost((postgres + ALLOWED_SECONDS) * 1e6, 1 / (postgres + ALLOWED_SECONDS))
    own = Cost(ours * 1e6, 1 / ours)
    return [Measurement("make run, second start", own, allowed, 1.0, unit="µs by the clock")]


def start_times() -> tuple[float, float]:
    """Seconds to ready of the whole, and of PostgreSQL alone, on the same data; medians."""
    with tempfile.TemporaryDirectory(prefix="synnefo-bench-") as folder:
        home = Path(folder) / "home"
        run_once(home)
        ours = statistics.median(run_once(home) for _ in range(REPEATS))
        postgres = statistics.median(
            postgres_once(Server(home / "postgresql")) for _ in range(REPEATS)
        )
    return ours, postgres


def run_once(home: Path) -> float:
    """Start the demo, wait for its ready line, stop it; the seconds to ready."""
    http, console = free_ports(2)
    environ = {
        **os.environ,
        "SYNNEFO_HOME": str(home),
        "SYNNEFO_HTTP__PORT": str(http),
        "SYNNEFO_CONSOLE__PORT": str(console),
    }
    begun = time.perf_counter()
    run = subprocess.Popen(
        [sys.executable, "-m", "synnefo_tx.demo.run"], env=environ, stdout=subprocess.PIPE
    )
    assert run.stdout is not None
    try:
        said = b""
        while b"ready " not in said:
            left = LIMIT_SECONDS - (time.perf_counter() - begun)
            if not select.select([run.stdout], [], [], max(left, 0))[0]:
                raise RuntimeError("make run was not ready in time")
            piece = os.read(run.stdout.fileno(), 4096)
            if not piece:
                raise RuntimeError(f"make run ended: {said!r}")
            said += piece
        return time.perf_counter() - begun
    finally:
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=LIMIT_SECONDS)


def postgres_once(server: Server) -> float:
    """Start PostgreSQL alone, until it answers."""
    begun = time.perf_counter()
    process = subprocess.Popen(server.command(), stderr=subprocess.DEVNULL)
    try:
        connect_when_ready(server.url_of("postgres"), process, LIMIT_SECONDS).close()
        return time.perf_counter() - begun
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT_SECONDS)
