"""News of jobs, from the body of a message to its commit, beside the least that a commit costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg2
from twisted.internet.threads import deferToThread

from bench import scale
from bench.cloud import BenchCloud
from bench.measure import REPEATS, Measurement, Side, compare
from synnefo_tx.db.embedded import Server

JOBS = 320
MESSAGES_PER_JOB = 4
AIM = 0.5
ROUNDS = REPEATS + 1
# Each server has a job that stops it, accepted and not told of yet.
TASKS_SQL = """
WITH asked AS (
    UPDATE servers SET task = 'STOP', task_intent = md5('intent' || id)::uuid,
        job_status = 'queued' WHERE name LIKE 'server %%' AND operstate = 'STARTED'
        AND userid <> %(user)s
    RETURNING id, backend, task_intent
)
INSERT INTO intents (id, backend, subject, instance, opcode, call, arguments, request_id, created,
    deadline, last_job_id, attempts, job_id, job_status)
SELECT task_intent, backend, 'server:' || id, 'snf-' || id, 'OP_INSTANCE_SHUTDOWN', 'shutdown',
    '{}', 'bench', synnefo_now(), synnefo_now() + interval '1 day', 0, 1, 1000000 + id, 'queued'
FROM asked
"""


async def measure() -> list[Measurement]:
    """Compare with SELECT FOR UPDATE, UPDATE and COMMIT by psycopg2 on 32 connections."""
    # The cluster knows nothing of these jobs: nobody must ask it.
    bench = BenchCloud(job_seconds=0.01, changes={"GANETI__OPEN_POLL_SECONDS": "3600"})
    try:
        await bench.start()
        await deferToThread(prepare, bench)
        async with bench.application() as app:
            await app.identity.quota.reconcile(app.compute.usage, fix=True)
        url = Server(bench.cloud.home / "postgresql").url
        ours = bench.start_worker([sys.executable, "-m", "bench.apply_events", url])
        peer = bench.start_worker([sys.executable, "-m", "bench.peers.update_rows", url])
        sides = [
            Side("ours", [ours.pid, bench.postgres], working(ours)),
            Side("peer", [peer.pid, bench.postgres], working(peer)),
        ]
        costs: Any = await deferToThread(compare, sides, JOBS * MESSAGES_PER_JOB)
    finally:
        await bench.end()
    return [Measurement("events, four of each job", costs["ours"], costs["peer"], AIM)]


def prepare(bench: BenchCloud) -> None:
    """Servers with jobs, enough for all rounds."""
    scale.grow(bench, 1, JOBS * ROUNDS)
    connection = psycopg2.connect(Server(bench.cloud.home / "postgresql").url)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(TASKS_SQL, {"user": bench.caller.user})
        cursor.execute("VACUUM ANALYZE")
    connection.close()


def working(worker: subprocess.Popen[bytes]) -> Callable[[int], None]:
    """Has a worker do so many, and waits for it."""
    assert worker.stdin is not None and worker.stdout is not None
    given, told = worker.stdin, worker.stdout

    def work(count: int) -> None:
        given.write(b"%d\n" % count)
        given.flush()
        if told.readline() != b"done\n":
            raise RuntimeError("a worker ended")

    return work
