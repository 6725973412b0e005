"""A thousand streams of changes, beside the same bytes written to a thousand bare sockets.

A hundred users follow with ten clients each. Changes are committed by a connection of the bench's
own; from there to the client's socket everything is the service's.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from attrs import define
from twisted.internet.threads import deferToThread

from bench.client import request_bytes
from bench.cloud import BenchCloud
from bench.measure import Cost, Measurement
from bench.processor import seconds_of
from bench.scale import SERVERS_SQL, USERS_SQL
from synnefo_tx.changes.sequencer import TELL_SECONDS
from synnefo_tx.changes.store import TELL_WRITTEN
from synnefo_tx.db.embedded import Server
from tests.support.processes import free_ports

USERS, CLIENTS_EACH = 100, 10
SERVERS = 4_000
CHANGES_PER_SECOND = 500
STEADY_CHANGES, BURST_CHANGES = 3_000, 2_000
BURST_TRANSACTION = 100
REPEATS = 3
RATE_AIM, DELAY_AIM = 0.5, 1 / 3
DESCRIPTORS = 8192
CHANGE = "UPDATE servers SET name = %(name)s, updated = synnefo_now() WHERE id = %(id)s"
IMAGES, IMAGE_CHANGES, ONE_IN = 1_500, 1_500, 20
IMAGES_SQL = """
INSERT INTO images (id, name, owner, location, created, updated)
SELECT gen_random_uuid(), 'image ' || n, 'system', 'x', synnefo_now(), synnefo_now()
FROM generate_series(1, %(count)s) AS n RETURNING id::text
"""
CHANGE_IMAGE = "UPDATE images SET name = %(name)s, updated = synnefo_now() WHERE id = %(id)s"
CHANGE_ALL = "UPDATE servers SET name = %(name)s, updated = synnefo_now() WHERE id = ANY (%(ids)s)"


@define
class Turn:
    """What was seen of some changes: events per second, delays, processor time per event."""

    per_second: float
    p50_us: float
    p99_us: float
    processor_us: float
    bytes: float


async def measure() -> list[Measurement]:
    """Compare rate, delay and processor time."""
    allow_descriptors()
    # What waits for a client that shares two cores with all the others is not what is measured.
    bench = BenchCloud(0.01, {"CHANGES__UNREAD_MAX_BYTES": str(8 * 2**20)})
    try:
        await bench.start()
        ids = await deferToThread(fill, bench)
        tokens = await tokens_of_users(bench)
        turns = await deferToThread(compare, bench, ids, tokens)
    finally:
        await bench.end()
    steady, burst, all_see = turns
    return [
        Measurement(
            "stream: 500 changes/s, each to all 1 000, events", cost(all_see[0].per_second),
            cost(all_see[1].per_second), RATE_AIM, "wall µs per event",
        ),
        Measurement(
            "stream: the same, p99 of delay", Cost(all_see[0].p99_us, all_see[0].per_second),
            Cost(all_see[1].p99_us, all_see[1].per_second), DELAY_AIM, "µs",
        ),
        Measurement(
            "stream: 2 000 changes at once to 1 000, events", cost(burst[0].per_second),
            cost(burst[1].per_second), RATE_AIM, "wall µs per event",
        ),
        Measurement(
            "stream: the same, p99 of delay", Cost(burst[0].p99_us, burst[0].per_second),
            Cost(burst[1].p99_us, burst[1].per_second), DELAY_AIM, "µs",
        ),
        Measurement(
            "stream: 500 changes/s to 1 000, p99 of delay",
            Cost(steady[0].p99_us, steady[0].per_second),
            Cost(steady[1].p99_us, steady[1].per_second), DELAY_AIM, "µs",
        ),
        Measurement(
            "stream: 500 changes/s to 1 000", Cost(steady[0].processor_us, steady[0].per_second),
            Cost(steady[1].processor_us, steady[1].per_second), 0.0, "processor µs per event",
        ),
    ]  # fmt: skip


def allow_descriptors() -> None:
    """Let this process and those that it starts have a connection per client."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, most), most))


def cost(per_second: float) -> Cost:
    """A rate as a cost."""
    return Cost(1e6 / per_second, per_second)


def fill(bench: BenchCloud) -> list[int]:
    """Users and their servers; the numbers of these, the users in turn."""
    values = {
        "users": USERS, "first": 1, "last": SERVERS, "backend": bench.backend,
        "flavor": bench.flavor, "image": "x", "network": bench.private,
    }  # fmt: skip
    connection = psycopg2.connect(Server(bench.cloud.home / "postgresql").url)
    with connection, connection.cursor() as cursor:
        cursor.execute(USERS_SQL, values)
        cursor.execute(SERVERS_SQL, values)
        cursor.execute("SELECT id FROM servers WHERE name LIKE 'server %' ORDER BY id")
        found = [row[0] for row in cursor.fetchall()]
    connection.close()
    return found


async def tokens_of_users(bench: BenchCloud) -> list[str]:
    """A token of each user, in the order in which they have the servers."""
    made = []
    async with bench.application() as app, app.database.transaction("tokens") as tx:
        for number in range(USERS):
            user = (await tx.rows("SELECT md5(%(n)s)::uuid::text", {"n": f"user{1 + number}"}))[0]
            made.append((await app.identity.tokens.issue(tx, user[0], "bench")).secret)
    return made


def compare(bench: BenchCloud, ids: list[int], tokens: list[str]) -> list[tuple[Turn, Turn]]:
    """The medians of each side, in turns: at a steady rate, and all at once."""
    ours, peer = Ours(bench, ids, tokens), Bare(bench)
    try:
        found = []
        for count, rate, to_all in (
            (STEADY_CHANGES, CHANGES_PER_SECOND, False),
            (BURST_CHANGES, 0, False),
            (IMAGE_CHANGES, CHANGES_PER_SECOND, True),
        ):
            seen: list[tuple[Turn, Turn]] = []
            for _ in range(REPEATS + 1):
                one = ours.turn(count, rate, to_all)
                seen.append((one, peer.turn(count, rate, to_all, round(one.bytes))))
            found.append((median([a for a, _ in seen[1:]]), median([b for _, b in seen[1:]])))
    finally:
        ours.connection.close()
    return found


def median(turns: list[Turn]) -> Turn:
    """The one with the middle rate."""
    return sorted(turns, key=lambda turn: turn.per_second)[len(turns) // 2]


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

    def time(self, count: int, to_all: bool, change: Any) -> Turn:
        """Make changes, and wait until all their events have come."""
        clients = USERS * CLIENTS_EACH if to_all else CLIENTS_EACH
        one_in = ONE_IN if to_all else 1
        events = count * clients
        self._say(self.reader, f"{events // one_in} {one_in}")
        begun, used = time.monotonic(), seconds_of(self.processes)
        change()
        assert self.reader.stdout is not None
        line = self.reader.stdout.readline()
        if not line:
            raise RuntimeError("the client of the streams has ended")
        seen = json.loads(line)
        spent = seconds_of(self.processes) - used
        return Turn(
            events / (seen["last"] - begun), seen["p50_us"], seen["p99_us"],
            spent / events * 1e6, seen["bytes"],
        )  # fmt: skip


class Ours(Side):
    """The service."""

    def __init__(self, bench: BenchCloud, ids: list[int], tokens: list[str]) -> None:
        sent = [request_bytes("GET", "/events/v1", each).decode() for each in tokens]
        port = urlsplit(bench.cloud.url).port
        assert port is not None
        super().__init__(bench, port, sent * CLIENTS_EACH)
        self.processes = bench.processes
        self._ids = ids
        self.connection = psycopg2.connect(Server(bench.cloud.home / "postgresql").url)
        self.connection.autocommit = True
        with self.connection.cursor() as cursor:
            cursor.execute(IMAGES_SQL, {"count": IMAGES})
            self._images = [row[0] for row in cursor.fetchall()]

    def turn(self, count: int, rate: int, to_all: bool) -> Turn:
        """Commit changes: one by one at a rate, or as fast as that goes, a hundred at a time."""
        return self.time(count, to_all, lambda: self._change(count, rate, to_all))

    def _change(self, count: int, rate: int, to_all: bool) -> None:
        ids: Sequence[Any] = self._images if to_all else self._ids
        change = CHANGE_IMAGE if to_all else CHANGE
        told = begun = time.monotonic()
        with self.connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = off")
            if not rate:
                for first in range(0, count, BURST_TRANSACTION):
                    ids = self._ids[first : first + BURST_TRANSACTION]
                    cursor.execute(CHANGE_ALL, {"name": f"t{begun * 1e9:.0f}", "ids": ids})
                    cursor.execute(TELL_WRITTEN)
                return
            for number in range(count):
                moment = begun + number / rate
                time.sleep(max(0.0, moment - time.monotonic()))
                id = ids[number % len(ids)]
                cursor.execute(change, {"name": f"t{moment * 1e9:.0f}", "id": id})
                # As a process does that writes.
                if time.monotonic() - told >= TELL_SECONDS:
                    cursor.execute(TELL_WRITTEN)
                    told = time.monotonic()
            cursor.execute(TELL_WRITTEN)


class Bare(Side):
    """Bare sockets."""

    def __init__(self, bench: BenchCloud) -> None:
        (port,) = free_ports(1)
        connections = USERS * CLIENTS_EACH
        self._writer = bench.start_worker(
            [
                sys.executable,
                "-m",
                "bench.peers.bare_sockets",
                str(port),
                str(connections),
                str(CLIENTS_EACH),
            ]
        )
        self._hear(self._writer, b"listens\n")
        super().__init__(bench, port, ["hello\n"] * connections)
        self.processes = [self._writer.pid]

    def turn(self, count: int, rate: int, to_all: bool, size: int) -> Turn:
        """Write as many events of the same size."""

        def change() -> None:
            self._say(self._writer, f"{count} {rate} {size} {int(to_all)}")
            self._hear(self._writer, b"done\n")

        return self.time(count, to_all, change)
