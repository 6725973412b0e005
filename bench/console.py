"""The console: streams, many screens, set-up, memory, fairness; the proxy's process alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.internet.threads import deferToThread

from bench.console_client import Console, Stream, Websocket, read_all
from bench.measure import Cost, Measurement, Side, compare
from bench.processor import anonymous_kib
from synnefo_tx.console.certificate import CERTIFICATE_FILE, KEY_FILE
from tests.support.processes import BIN, free_ports

MIB = 1024 * 1024
START_SECONDS = 60.0
STOP_SECONDS = 20.0
COPY_AIM, WEBSOCKIFY_AIM, FAIRNESS_AIM = 0.75, 1.0, 0.6
SETUP_MS, IDLE_KIB, STALLED_KIB = 10, 100, 2048

STREAM_MIB = 128
SCREENS, IDLE, SCREEN_KIB_PER_SECOND, SCREENS_MIB = 50, 100, 200, 40
SCREENS_REPEATS = 3
SETUPS, SETUP_REPEATS = 50, 3
OPENING_THREADS = 8
IDLE_WARM, IDLE_MEASURED = 20, 150
STALLED_MIB, STALLED_SECONDS, STALLS = 64, 1.5, 3
FAIR_WARM_SECONDS, FAIR_SECONDS, FAIR_MIB = 1.0, 4.0, 1024


class ConsoleBench:
    """Our console, the screens, and the peers between the two: processes on loopback."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="synnefo-bench-"))
        self.running: list[subprocess.Popen[bytes]] = []
        self.screen_port, self.port, self.copy_port, self.websockify_port = free_ports(4)
        tls = self.folder / "tls"
        self.tls = (str(tls / CERTIFICATE_FILE), str(tls / KEY_FILE))

    def start(self) -> None:
        """Start the screens, our console and the copy."""
        module = [sys.executable, "-m"]
        self._run([*module, "bench.vnc_source", str(self.screen_port)], self.screen_port)
        self.ours = self._start_ours()
        ports = [str(self.copy_port), str(self.screen_port)]
        copy = [*module, "bench.peers.tls_copy", *ports, *self.tls]
        self.copy = self._run(copy, self.copy_port)

    def _start_ours(self) -> int:
        service = Path(__file__).with_name("console_service.py")
        command = [
            sys.executable, str(BIN / "twistd"), "-n", "--pidfile=",
            "--logger", "synnefo_tx.log.synnefo_file", "-y", str(service),
        ]  # fmt: skip
        settings = {
            "HOME": str(self.folder),
            "CONSOLE__PORT": str(self.port),
            "CONSOLE__SCREEN_PORTS": f"{self.screen_port},{self.screen_port}",
        }
        return self._run(command, self.port, {f"SYNNEFO_{k}": v for k, v in settings.items()})

    def start_websockify(self) -> int | None:
        """Start the peer, with its defaults; None where it is not installed."""
        path = os.pathsep.join([str(BIN), os.environ.get("PATH", os.defpath)])
        program = shutil.which("websockify", path=path)
        if program is None:
            return None
        certificate, key = self.tls
        places = [f"127.0.0.1:{port}" for port in (self.websockify_port, self.screen_port)]
        command = [program, "--ssl-only", "--cert", certificate, "--key", key, *places]
        return self._run(command, self.websockify_port)

    def _run(self, command: list[str], port: int, environ: dict[str, str] | None = None) -> int:
        """Start a program and wait until it listens on ``port``; its process."""
        with (self.folder / f"{port}.log").open("wb") as log:
            program = subprocess.Popen(
                command, env={**os.environ, **(environ or {})}, stdout=log, stderr=log
            )
        self.running.append(program)
        deadline = time.monotonic() + START_SECONDS
        while not is_listening(port):
            if program.poll() is not None or time.monotonic() > deadline:
                text = (self.folder / f"{port}.log").read_text()
                raise RuntimeError(f"{command} does not serve: {text[-2000:]}")
            time.sleep(0.05)
        return program.pid

    def open(self, count: int) -> list[Stream]:
        """So many of our consoles."""
        return self.open_kind(Console, self.port, count)

    def open_kind(self, kind: type[Stream], port: int, count: int) -> list[Stream]:
        """So many connections to whoever listens on ``port``."""
        with ThreadPoolExecutor(OPENING_THREADS) as threads:
            return list(threads.map(lambda _: kind(port, self.screen_port), range(count)))

    def end(self) -> None:
        """Stop everything that was started."""
        for program in self.running:
            program.terminate()
            try:
                program.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def is_listening(port: int) -> bool:
    """Whether somebody listens on a port of loopback; without a connection to it (proc(5))."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    sockets = [line.split()[1:4:2] for line in lines]
    return any(own.endswith(f":{port:04X}") and state == "0A" for own, state in sockets)


async def measure() -> list[Measurement]:
    """All rows of the console."""
    return await deferToThread(measure_all)


def measure_all() -> list[Measurement]:
    """One after the other; what cannot be measured is told and left out.

    Memory comes first: what a process has let go would hide what it takes next.
    """
    bench = ConsoleBench()
    try:
        bench.start()
        rows = (stalled, idle_memory, stream, setup, fairness, screens)
        return [row for each in rows if (row := each(bench)) is not None]
    finally:
        bench.end()


def stream(bench: ConsoleBench) -> Measurement:
    """One stream to the client, beside a copy from TLS to TCP."""
    ours = Console(bench.port, bench.screen_port)
    peer = Stream(bench.copy_port, bench.screen_port)
    sides = [
        Side("ours", [bench.ours], transfer([ours])),
        Side("copy", [bench.copy], transfer([peer])),
    ]
    costs = compare(sides, STREAM_MIB)
    for each in (ours, peer):
        each.close()
    unit = "processor µs per MiB"
    return Measurement("console stream, TLS copy", costs["ours"], costs["copy"], COPY_AIM, unit)


def transfer(streams: Sequence[Stream], kib_per_second: int = 0) -> Callable[[int], None]:
    """Has each screen send its share of so many MiB, and reads it all."""

    def work(mib: int) -> None:
        share_kib = mib * 1024 // len(streams)
        for each in streams:
            each.order(share_kib, kib_per_second)
        wanted = share_kib * 1024 * len(streams)
        read_all(streams, lambda seen: sum(seen.values()) < wanted)

    return work


def screens(bench: ConsoleBench) -> Measurement | None:
    """Paced screens among idle connections, beside websockify."""
    name = f"console {SCREENS} screens, websockify"
    websockify = bench.start_websockify()
    if websockify is None:
        print(f"{name}: left out, websockify is not installed", file=sys.stderr)
        return None
    opened = []
    sides = []
    for side, process, kind, port in (
        ("ours", bench.ours, Console, bench.port),
        ("websockify", websockify, Websocket, bench.websockify_port),
    ):
        own = bench.open_kind(kind, port, SCREENS + IDLE)
        opened += own
        work = transfer(own[:SCREENS], SCREEN_KIB_PER_SECOND)
        sides.append(Side(side, [process], work))
    costs = compare(sides, SCREENS_MIB, SCREENS_REPEATS)
    for each in opened:
        each.close()
    unit = "processor µs per MiB"
    return Measurement(name, costs["ours"], costs["websockify"], WEBSOCKIFY_AIM, unit)


def setup(bench: ConsoleBench) -> Measurement:
    """From the connection, with the ticket, to the first byte of the screen; and the end."""

    def work(count: int) -> None:
        for _ in range(count):
            Console(bench.port, bench.screen_port).close()

    costs = compare([Side("ours", [bench.ours], work)], SETUPS, SETUP_REPEATS)
    allowed = Cost(SETUP_MS * 1e3, 1e3 / SETUP_MS)
    return Measurement("console set-up", costs["ours"], allowed, 1.0, "processor µs per set-up")


def idle_memory(bench: ConsoleBench) -> Measurement:
    """What each open console adds to our process."""
    opened = bench.open(IDLE_WARM)
    before = anonymous_kib(bench.ours)
    opened += bench.open(IDLE_MEASURED)
    each_kib = (anonymous_kib(bench.ours) - before) / IDLE_MEASURED
    for each in opened:
        each.close()
    return allowance("console idle", each_kib, IDLE_KIB, "KiB per connection")


def stalled(bench: ConsoleBench) -> Measurement:
    """What a client that does not read adds to our process at most; it gets all afterwards."""
    growths = []
    for _ in range(STALLS):
        client = Console(bench.port, bench.screen_port)
        before = peak = anonymous_kib(bench.ours)
        client.order(STALLED_MIB * 1024)
        deadline = time.monotonic() + STALLED_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.02)
            peak = max(peak, anonymous_kib(bench.ours))
        read_all([client], lambda seen: sum(seen.values()) < STALLED_MIB * MIB)
        client.close()
        growths.append(peak - before)
    return allowance("console, client does not read", max(growths), STALLED_KIB, "KiB of growth")


def allowance(name: str, kib: float, allowed_kib: int, unit: str) -> Measurement:
    """A row of memory; what did not grow counts as one KiB."""
    return Measurement(name, Cost(max(kib, 1.0), 0), Cost(allowed_kib, 0), 1.0, unit)


def fairness(bench: ConsoleBench) -> Measurement:
    """The slowest of many unpaced screens beside the fastest."""
    opened = bench.open(SCREENS)
    for each in opened:
        each.order(FAIR_MIB * 1024)
    read_for(opened, FAIR_WARM_SECONDS)
    seen = read_for(opened, FAIR_SECONDS)
    for each in opened:
        each.close()
    rates = [count / 1024 / FAIR_SECONDS for count in seen]
    fastest, slowest = Cost(max(rates), 0), Cost(min(rates), 0)
    unit = "KiB/s, fastest and slowest"
    return Measurement(f"console fairness of {SCREENS}", fastest, slowest, FAIRNESS_AIM, unit)


def read_for(streams: Sequence[Stream], seconds: float) -> list[int]:
    """The bytes of each in that time."""
    deadline = time.monotonic() + seconds
    counts: dict[Stream, int] = {}

    def goes_on(seen: dict[Stream, int]) -> bool:
        counts.update(seen)
        return time.monotonic() < deadline

    read_all(streams, goes_on)
    return [counts[each] for each in streams]
