"""The same work beside 1 000 servers and beside 100 000 of 1 000 users."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg2
from twisted.internet.threads import deferToThread

from bench.client import ask_many, request_bytes
from bench.cloud import IMAGE, BenchCloud
from bench.measure import Cost, Measurement, Side, compare
from bench.servers_detail import PATH as DETAIL
from bench.servers_detail import fill
from synnefo_tx.db.embedded import Server

FEW, MANY = 1_000, 100_000
USERS = 1_000
REQUESTS = 600
CREATES = 60
SAME_AIM = 0.9
LINEAR_AIM = 0.8
RECONCILIATIONS = 3

USERS_SQL = """
WITH made AS (
    INSERT INTO users (uuid, email, username, is_active, email_verified, moderated, default_project)
    SELECT id, 'u' || n || '@example.org', 'u' || n || '@example.org', true, true, true, id
    FROM (SELECT n, md5('user' || n)::uuid AS id FROM generate_series(1, %(users)s) n) AS new
    RETURNING uuid
), projects AS (
    INSERT INTO projects (uuid, realname, is_system, state, quota_generation, end_date)
    SELECT uuid, 'system:' || uuid, true, 'active',
        (SELECT max(generation) FROM resource_defaults), '2100-01-01' FROM made
)
INSERT INTO project_members (project, member, state, initialized)
SELECT uuid, uuid, 'accepted', true FROM made
"""
# Each user has the same number of servers, spread over the table as time would.
SERVERS_SQL = """
WITH new AS (
    INSERT INTO servers (name, userid, project, backend, flavor, image, operstate, created, updated,
     state_changed)
    SELECT 'server ' || n, md5('user' || 1 + n %% %(users)s)::uuid,
        md5('user' || 1 + n %% %(users)s)::uuid, %(backend)s, %(flavor)s, %(image)s, 'STARTED',
        synnefo_now(), synnefo_now(), synnefo_now()
    FROM generate_series(%(first)s, %(last)s) n RETURNING id, userid, project, flavor
), disks AS (
    INSERT INTO volumes (name, userid, project, size_gib, volume_type, status, server, index,
     created, updated)
    SELECT 'root', new.userid, new.project, f.disk_gib, f.volume_type, 'IN_USE', new.id, 0,
        synnefo_now(), synnefo_now() FROM new JOIN flavors f ON f.id = new.flavor
), labels AS (
    INSERT INTO server_metadata (server, key, value) SELECT id, 'role', 'web' FROM new
)
INSERT INTO ports (userid, network, server, index, mac, state, created, updated)
SELECT userid, %(network)s, id, position, 'bench ' || id || ' ' || position, 'ACTIVE',
    synnefo_now(), synnefo_now() FROM new, generate_series(0, 1) position
"""


async def measure() -> list[Measurement]:
    """Compare the cloud with itself, before and after it has grown a hundredfold."""
    bench = BenchCloud(job_seconds=0.01, changes={"COMPUTE__KEPT_PAGES_MAX_BYTES": "0"})
    try:
        await bench.start()
        await fill(bench)
        await deferToThread(grow, bench, 1, FEW)
        few = await work(bench)
        await deferToThread(grow, bench, FEW + 1, MANY)
        many = await work(bench)
    finally:
        await bench.end()
    scale = MANY / FEW
    linear = Cost(few["quota"].processor_us * scale, few["quota"].per_second / scale)
    return [
        Measurement("servers-detail, 100 000 servers", many["detail"], few["detail"], SAME_AIM),
        Measurement("servers-create, 100 000 servers", many["create"], few["create"], SAME_AIM),
        Measurement("quota reconciliation, 100 000", many["quota"], linear, LINEAR_AIM),
    ]


def grow(bench: BenchCloud, first: int, last: int) -> None:
    """Add servers number ``first`` to ``last``, and let PostgreSQL know its tables."""
    connection = psycopg2.connect(Server(bench.cloud.home / "postgresql").url)
    connection.autocommit = True
    values = {
        "users": USERS, "first": first, "last": last, "backend": bench.backend,
        "flavor": bench.flavor, "image": IMAGE, "network": bench.private,
    }  # fmt: skip
    with connection.cursor() as cursor:
        if first == 1:
            cursor.execute(USERS_SQL, values)
        cursor.execute(SERVERS_SQL, values)
        cursor.execute("VACUUM ANALYZE")
    connection.close()


async def work(bench: BenchCloud) -> dict[str, Cost]:
    """What a page, a create and a reconciliation cost now."""
    detail = request_bytes("GET", DETAIL, bench.token)
    wanted = {"name": "bench", "flavorRef": bench.flavor, "imageRef": IMAGE}
    body = json.dumps({"server": wanted}).encode()
    async with bench.application() as app:
        # Somebody else: the page is to have twenty servers all along.
        _, token = await bench.make_user(app, f"{time.time()}@example.org")
    create = request_bytes("POST", "/compute/v2.0/servers", token, body)
    url = bench.cloud.url
    sides = [Side("detail", bench.processes, lambda count: ask_many(url, detail, count))]
    costs: dict[str, Cost] = await deferToThread(compare, sides, REQUESTS)
    sides = [Side("create", bench.processes, lambda count: ask_many(url, create, count, 1))]
    costs |= await deferToThread(compare, sides, CREATES)
    return costs | {"quota": await reconcile(bench)}


async def reconcile(bench: BenchCloud) -> Cost:
    """The quickest of some comparisons of all usage with what exists; by the wall clock."""
    async with bench.application() as app:
        await app.identity.quota.reconcile(app.compute.usage, fix=True)
        seconds: list[float] = []
        for _ in range(RECONCILIATIONS):
            begun = time.perf_counter()
            drifts: Any = await app.identity.quota.reconcile(app.compute.usage)
            seconds.append(time.perf_counter() - begun)
            if drifts:
                raise RuntimeError(f"usage is not exact: {drifts[:3]}")
    return Cost(min(seconds) * 1e6, 1 / min(seconds))
