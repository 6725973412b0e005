"""A thousand streams of changes, beside the same bytes written to a thousand bare sockets.

A hundred users follow with ten clients each. Changes are committed by a connection of the bench's
own; from there to the client's socket everything is the service's.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen
from twisted.internet.threads import deferToThread

from bench.client import request_bytes
from bench.cloud import BenchCloud
from bench.measure import Cost, Measurement
from bench.processor import seconds_of
from bench.stream_writer import USERS, Writer
from tests.support.processes import free_ports

CLIENTS_EACH = 10
CHANGES_PER_SECOND = 500
STEADY_CHANGES, BURST_CHANGES, IMAGE_CHANGES = 3_000, 2_000, 1_500
ONE_IN = 20
REPEATS = 3
RATE_AIM, DELAY_AIM, COMMITS_AIM = 0.5, 1 / 3, 0.95
DESCRIPTORS = 8192


@frozen
class Load:
    """Changes to make: so many a second, or as fast as they commit where that is 0."""

    changes: int
    per_second: int
    to_all: bool = False

    @property
    def clients(self) -> int:
        """How many are told of each."""
        return USERS * CLIENTS_EACH if self.to_all else CLIENTS_EACH


STEADY = Load(STEADY_CHANGES, CHANGES_PER_SECOND)
BURST = Load(BURST_CHANGES, 0)
ALL_SEE = Load(IMAGE_CHANGES, CHANGES_PER_SECOND, to_all=True)


@frozen
class Turn:
    """What was seen of some changes: commits and events per second, delays, processor time per
    event."""

    commits_per_second: float
    per_second: float
    p50_us: float
    p99_us: float
    processor_us: float
    bytes: float


async def measure() -> list[Measurement]:
    """Compare rate, delay and processor time."""
    allow_descriptors()
    bench = BenchCloud(0.01)
    try:
        await bench.start()
        writer: Any = await deferToThread(Writer, bench)
        tokens = await tokens_of_users(bench)
        found: Any = await deferToThread(compare_all, bench, writer, tokens)
    finally:
        await bench.end()
    return found


def allow_descriptors() -> None:
    """Let this process and those that it starts have a connection per client."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, most), most))


async def tokens_of_users(bench: BenchCloud) -> list[str]:
    """A token of each user that has servers."""
    made = []
    async with bench.application() as app, app.database.transaction("tokens") as tx:
        for number in range(USERS):
            user = (await tx.rows("SELECT md5(%(n)s)::uuid::text", {"n": f"user{1 + number}"}))[0]
            made.append((await app.identity.tokens.issue(tx, user[0], "bench")).secret)
    return made


def compare_all(bench: BenchCloud, writer: Writer, tokens: list[str]) -> list[Measurement]:
    """Each load with streams, beside bare sockets and beside nobody who follows."""
    alone = {load: commit_rate(writer, load) for load in (STEADY, ALL_SEE)}
    ours, peer = Ours(bench, writer, tokens), Bare(bench)
    steady, burst, all_see = (compare(ours, peer, load) for load in (STEADY, BURST, ALL_SEE))
    writer.connection.close()
    return [
        rate("500 changes/s, each to all 1 000", all_see),
        delay("500 changes/s, each to all 1 000", all_see),
        commits("500 changes/s, each to all 1 000", all_see[0], alone[ALL_SEE]),
        rate("2 000 changes at once to ten each", burst),
        delay("2 000 changes at once to ten each", burst),
        delay("500 changes/s to ten each", steady),
        commits("500 changes/s to ten each", steady[0], alone[STEADY]),
        processor("500 changes/s to ten each", steady),
    ]


def commit_rate(writer: Writer, load: Load) -> float:
    """Commits per second of the writer with nobody who follows: the median."""
    return statistics.median(load.changes / write(writer, load) for _ in range(REPEATS))


def write(writer: Writer, load: Load) -> float:
    """Commit the changes; the seconds it took."""
    if load.per_second:
        return writer.steady(load.changes, load.per_second, load.to_all)
    return writer.burst(load.changes)


def compare(ours: Ours, peer: Bare, load: Load) -> tuple[Turn, Turn]:
    """The turn with the middle rate of each side, after one to warm up."""
    seen: list[tuple[Turn, Turn]] = []
    for _ in range(REPEATS + 1):
        one = ours.turn(load)
        seen.append((one, peer.turn(load, round(one.bytes))))
    ours_turns, peer_turns = zip(*seen[1:], strict=True)
    return middle(ours_turns), middle(peer_turns)


def middle(turns: Sequence[Turn]) -> Turn:
    """The one with the middle rate."""
    return sorted(turns, key=lambda turn: turn.per_second)[len(turns) // 2]


def rate(name: str, turns: tuple[Turn, Turn]) -> Measurement:
    """Events per second."""
    ours, peer = (Cost(1e6 / each.per_second, each.per_second) for each in turns)
    return Measurement(f"stream: {name}, events", ours, peer, RATE_AIM, "wall µs per event")


def delay(name: str, turns: tuple[Turn, Turn]) -> Measurement:
    """How late the latest hundredth of the events are."""
    ours, peer = (Cost(each.p99_us, each.per_second) for each in turns)
    return Measurement(f"stream: {name}, p99 of delay", ours, peer, DELAY_AIM, "µs")


def commits(name: str, ours: Turn, alone: float) -> Measurement:
    """Commits per second of who writes, beside those while nobody follows."""
    with_streams = Cost(1e6 / ours.commits_per_second, ours.commits_per_second)
    without = Cost(1e6 / alone, alone)
    return Measurement(
        f"stream: {name}, commits", with_streams, without, COMMITS_AIM, "wall µs per commit"
    )


def processor(name: str, turns: tuple[Turn, Turn]) -> Measurement:
    """What an event costs; told, not judged."""
    ours, peer = (Cost(each.processor_us, each.per_second) for each in turns)
    return Measurement(f"stream: {name}", ours, peer, 0.0, "processor µs per event")


class Side:
    """Streams of one side and the client that reads them."""

    def __init__(self, bench: BenchCloud, port: int, sent: list[str]) -> None:
        self.reader = bench.start_worker([sys.executable, "-m", "bench.stream_client"])
        self.processes: list[int] = []
        wanted = {"host": "127.0.0.1", "port": port, "sent": sent}
        self._say(self.reader, json.dumps(wanted))
        self._hear(self.reader, b"ready\n")

    def _say(self, process: subprocess.Popen[bytes], line: str) -> None:
        assert process.stdin is not None
        process.stdin.write(line.encode() + b"\n")
        process.stdin.flush()

    def _hear(self, process: subprocess.Popen[bytes], line: bytes) -> None:
        assert process.stdout is not None
        heard = process.stdout.readline()
        if heard != line:
            raise RuntimeError(f"{heard!r} instead of {line!r}")

    def time(self, load: Load, change: Callable[[], float]) -> Turn:
        """Make changes, and wait until all their events have come."""
        one_in = ONE_IN if load.to_all else 1
        events = load.changes * load.clients
        self._say(self.reader, f"{events // one_in} {one_in}")
        begun, used = time.monotonic(), seconds_of(self.processes)
        took_seconds = change()
        assert self.reader.stdout is not None
        line = self.reader.stdout.readline()
        if not line:
            raise RuntimeError("the client of the streams has ended")
        seen = json.loads(line)
        spent = seconds_of(self.processes) - used
        return Turn(
            load.changes / took_seconds, events / (seen["last"] - begun), seen["p50_us"],
            seen["p99_us"], spent / events * 1e6, seen["bytes"],
        )  # fmt: skip


class Ours(Side):
    """The service."""

    def __init__(self, bench: BenchCloud, writer: Writer, tokens: list[str]) -> None:
        sent = [request_bytes("GET", "/events/v1", each).decode() for each in tokens]
        port = urlsplit(bench.cloud.url).port
        assert port is not None
        super().__init__(bench, port, sent * CLIENTS_EACH)
        self.processes = bench.processes
        self._writer = writer

    def turn(self, load: Load) -> Turn:
        """Commit the changes."""
        return self.time(load, lambda: write(self._writer, load))


class Bare(Side):
    """Bare sockets."""

    def __init__(self, bench: BenchCloud) -> None:
        (port,) = free_ports(1)
        connections = USERS * CLIENTS_EACH
        arguments = [str(each) for each in (port, connections, CLIENTS_EACH)]
        self._writer = bench.start_worker(
            [sys.executable, "-m", "bench.peers.bare_sockets", *arguments]
        )
        self._hear(self._writer, b"listens\n")
        super().__init__(bench, port, ["hello\n"] * connections)
        self.processes = [self._writer.pid]

    def turn(self, load: Load, size: int) -> Turn:
        """Write as many events of the same size."""

        def change() -> float:
            begun = time.monotonic()
            self._say(self._writer, f"{load.changes} {load.per_second} {size} {int(load.to_all)}")
            self._hear(self._writer, b"done\n")
            return time.monotonic() - begun

        return self.time(load, change)
