"""POST servers, up to the job accepted by the cluster in memory in its own process."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
from twisted.internet import reactor as _reactor
from twisted.internet.threads import deferToThread

from bench.client import ask_many, request_bytes
from bench.cloud import IMAGE, WAIT_SECONDS, BenchCloud
from bench.measure import Measurement, Side, compare
from synnefo_tx.cli import context
from synnefo_tx.compute.servers.model import ServerDraft
from synnefo_tx.db.connect import connector
from synnefo_tx.db.embedded import Server
from synnefo_tx.db.pool import Database, Json, PoolLimits
from synnefo_tx.threads import ThreadService
from tests.support.processes import until

reactor: Any = _reactor
AIM = 0.5
CREATES = 30
PATH = "/compute/v2.0/servers"
REPLAY_DATABASE = "replay"
FRAME = ("BEGIN", "COMMIT", "ROLLBACK")


class Recording:
    """A connection of the pool that keeps what is run on it."""

    def __init__(self, inner: Any, kept: list[tuple[str, Any]]) -> None:
        self._inner = inner
        self._kept = kept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(self, sql: str, parameters: Any) -> Any:
        """Keep and run a statement."""
        if not sql.lstrip().upper().startswith(FRAME):
            self._kept.append((sql, {k: unbound(v) for k, v in (parameters or {}).items()} or None))
        return self._inner.execute(sql, parameters)


def unbound(value: Any) -> Any:
    """A parameter that knows no connection, so that it can be written to a file."""
    return Json(value.adapted) if isinstance(value, Json) else value


async def measure() -> list[Measurement]:
    """Compare with the same statements by psycopg2 plus one TLS POST by treq."""
    bench = BenchCloud(job_seconds=0.01)
    try:
        await bench.start()
        wanted = {"name": "bench", "flavorRef": bench.flavor, "imageRef": IMAGE}
        await first_server(bench, wanted)
        await hold_jobs(bench)
        recorded = bench.folder / "create.pickle"
        recorded.write_bytes(pickle.dumps(await record(bench)))
        replay = bench.start_worker([sys.executable, "-m", "bench.peers.replay", str(recorded)])
        body = json.dumps({"server": wanted}).encode()
        post = request_bytes("POST", PATH, bench.token, body)
        sides = (
            Side("ours", bench.processes, lambda n: ask_many(bench.cloud.url, post, n, 1)),
            Side("replay", [replay.pid, bench.postgres], replaying(replay)),
        )
        costs: Any = await deferToThread(compare, sides, CREATES)
    finally:
        await bench.end()
    return [Measurement("servers-create beside its parts", costs["ours"], costs["replay"], AIM)]


async def first_server(bench: BenchCloud, wanted: dict[str, Any]) -> None:
    """Bring the network to the cluster, as it is for every later server."""
    await bench.ask("POST", PATH, {"server": wanted})

    async def active() -> bool:
        listed = (await bench.ask("GET", f"{PATH}/detail"))["servers"]
        return bool(listed[0]["status"] == "ACTIVE")

    await until(active, WAIT_SECONDS, "the first server is ACTIVE")


async def hold_jobs(bench: BenchCloud) -> None:
    """From now on jobs are accepted and no more, nobody looks; a copy of the database is kept."""
    await bench.cloud.end()
    await bench.cluster.end()
    bench.cluster.replace_option("--job-seconds", "100000")
    bench.cloud.environ["SYNNEFO_GANETI__OPEN_POLL_SECONDS"] = "3600"
    bench.cluster.start()
    async with bench.application() as app:
        await app.database.close()
        server = Server(bench.cloud.home / "postgresql")
        await deferToThread(copy_database, server)
    await bench.cloud.start_ready()


def copy_database(server: Server) -> None:
    """The state before the recorded create."""
    connection = psycopg2.connect(server.url_of("postgres"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE 'synnefo%'")
        ((name,),) = cursor.fetchall()
        cursor.execute(f"CREATE DATABASE {REPLAY_DATABASE} TEMPLATE {name}")
    connection.close()


async def record(bench: BenchCloud) -> dict[str, Any]:
    """One create through the application: its statements and what RAPI was sent."""
    settings, kept = bench.cloud.settings, list[tuple[str, Any]]()
    server = Server(bench.cloud.home / "postgresql")
    opening = connector(reactor, server.url, settings.database)

    async def connect() -> Any:
        return Recording(await opening(), kept)

    database = Database(connect, reactor, PoolLimits(connections=1))
    threads = ThreadService(settings.threads, reactor)
    app = await context._build(settings, database, threads.pools, reactor)
    try:
        await database.read("SELECT 1")
        kept.clear()
        await app.identity.tokens.authenticate(bench.token)
        draft = ServerDraft("bench", IMAGE, bench.flavor, None, {}, None, (), None)
        await app.compute.servers.create(bench.caller, draft)
        statements = list(kept)
        rows = await database.read(
            "SELECT arguments FROM intents WHERE opcode = 'OP_INSTANCE_CREATE' AND ended IS NULL"
        )
    finally:
        await database.close()
        threads.stopService()
    return {
        "statements": statements,
        "body": rows[0][0],
        "rapi": bench.rapi,
        "database": server.url_of(REPLAY_DATABASE),
    }


def replaying(worker: subprocess.Popen[bytes]) -> Callable[[int], None]:
    """Has the worker do some, and waits for it."""
    assert worker.stdin is not None and worker.stdout is not None
    given, told = worker.stdin, worker.stdout

    def work(count: int) -> None:
        given.write(b"%d\n" % count)
        given.flush()
        if told.readline() != b"done\n":
            raise RuntimeError(f"{Path(__file__).name}: the replay ended")

    return work
