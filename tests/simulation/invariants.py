"""What must hold: after every commit, and when the world is at rest (docs/simulation.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg2.errors import Error as DatabaseError
from twisted.internet.defer import CancelledError

from synnefo_tx.compute import charges
from synnefo_tx.compute.networks.operations import PRIVATE_NETWORK
from synnefo_tx.compute.servers.usage import ACTUAL
from synnefo_tx.faults import ServiceUnavailable
from synnefo_tx.ganeti.memory.model import Instance
from synnefo_tx.ganeti.model import RapiFailure
from synnefo_tx.ganeti.poller import Listing
from synnefo_tx.service import reconcile_quota
from tests.simulation import statements
from tests.simulation.scenario import canaries
from tests.simulation.world import World

# The last is what a dead controller's coroutines end with when they are collected; one that waited
# for another of them may be woken after that.
COLLECTED = "cannot reuse already awaited coroutine"
EXPECTED_ERRORS = (ServiceUnavailable, RapiFailure, DatabaseError, CancelledError, GeneratorExit)
NAMES = {
    "vm": charges.VM,
    "total_cpu": charges.TOTAL_CPU,
    "total_ram": charges.TOTAL_RAM,
    "cpu": charges.CPU,
    "ram": charges.RAM,
    "disk": charges.DISK,
    "network": PRIVATE_NETWORK,
}
PREFIX = "snf-"


class Broken(Exception):
    """An invariant does not hold."""


def _require(holds: bool, name: str, *found: Any) -> None:
    if not holds:
        raise Broken(f"{name}: {' '.join(map(str, found))}")


def _none(world: World, name: str, checks: Mapping[str, str]) -> None:
    """None of the checks finds anything; all are one statement, prepared."""
    parts = [
        f"SELECT '{title}', json_agg(found) FROM ({sql}) found HAVING count(*) > 0"
        for title, sql in checks.items()
    ]
    for title, rows in world.postgres.run_prepared(name, " UNION ALL ".join(parts)):
        raise Broken(f"{title}: {rows}")


def after_commit(world: World) -> None:
    """INV1–6, 13 and 14's part of them: what no commit may break."""
    _none(world, "always", statements.ALWAYS)
    _check_usage(world, exact=False)


def _check_usage(world: World, *, exact: bool) -> None:
    """INV1: usage is the sum over what lives, and what is pending on top of it."""
    actual: dict[tuple[str, str, str], int] = {}
    for user, project, resource, quantity in world.postgres.run_prepared("actual", ACTUAL, NAMES):
        for member in (user, statements.NIL):
            key = (project, member, resource)
            actual[key] = actual.get(key, 0) + quantity
    # The first half of a charge raises what is held at most, that of a release lowers the least.
    pending: dict[tuple[str, str, str], tuple[int, int]] = {}
    for project, user, resource, quantity in world.postgres.run_prepared(
        "pending", statements.PENDING
    ):
        for member in (user, statements.NIL):
            key = (project, member, resource)
            low, high = pending.get(key, (0, 0))
            pending[key] = (low + min(quantity, 0), high + max(quantity, 0))
    _require(not (exact and pending), "INV1 nothing is pending at rest", pending)
    for project, member, resource, low, high in world.postgres.run_prepared(
        "held", statements.HELD
    ):
        key = (project, member, resource)
        there, (less, more) = actual.pop(key, 0), pending.get(key, (0, 0))
        wanted = (there + less, there + more)
        _require((low, high) == wanted, "INV1 usage", key, "held", low, high, "actual", wanted)
    left = {key: value for key, value in actual.items() if value}
    _require(not left, "INV1 usage without a holding", left)


def any_time(world: World) -> None:
    """What holds while anything is under way: no commit broke anything, no secret is told, and no
    error is one that nobody thought of."""
    after_commit(world)
    _check_secrets(world)
    _check_log(world)


def at_rest(world: World) -> None:
    """All of them, in a world where nothing is under way; needs a living controller."""
    after_commit(world)
    _none(world, "at_rest", statements.AT_REST)
    _check_usage(world, exact=True)
    _check_clusters(world)
    _check_secrets(world)
    _check_log(world)
    _check_reconciliation(world)


def _check_clusters(world: World) -> None:
    """INV7 and INV8: what is here is there, and the other way round."""
    there: dict[str, list[tuple[int, Instance]]] = {}
    for number, cluster in enumerate(world.clusters, start=1):
        for name, instance in cluster.cluster.store.instances.items():
            if name.startswith(PREFIX):
                there.setdefault(name, []).append((number, instance))
    for row in world.postgres.run(statements.SERVERS).rows:
        id, backend, state, cpu, ram_mib, ports, volumes, reasons, intents = row
        places = there.pop(f"{PREFIX}{id}", [])
        if state == "DESTROYED":
            _require(not places, "INV7 a deleted server is on no cluster", id, places)
        elif state == "ERROR":
            _require(bool(reasons), "INV7 an error has a reason", id)
            _require(len(places) <= 1, "INV7 a server is on one cluster", id, places)
        else:
            _require(len(places) == 1, "INV7 a server is on one cluster", id, state, places)
            number, instance = places[0]
            _require(number == backend, "INV7 the server's own cluster", id, number, backend)
            _same(id, instance, state, (cpu, ram_mib), ports or [], volumes or [], intents or [])
    _require(not there, "INV8 an instance without a server", there)
    known = {tuple(row) for row in world.postgres.run(statements.COPIES).rows}
    for number, cluster in enumerate(world.clusters, start=1):
        left = {name for name in cluster.cluster.store.networks if (number, name) not in known}
        _require(not left, "INV8 a network without a live one here", number, left)


def _same(
    id: int, instance: Instance, state: str, size: Any, ports: Any, volumes: Any, intents: Any
) -> None:
    runs = "STARTED" if instance.guest else "STOPPED"
    _require(runs == state, "INV7 state", id, state, runs)
    wanted = [[name, mac, address] for name, mac, address in ports]
    nics = [[each.name, each.mac, each.ip] for each in instance.nics]
    _require(nics == wanted, "INV7 NICs", id, wanted, nics)
    disks = [[each.name, each.size_mib] for each in instance.disks]
    _require(disks == volumes, "INV7 disks", id, volumes, disks)
    sized = (instance.beparams["vcpus"], instance.beparams["maxmem"])
    _require(sized == size, "INV7 flavor", id, size, sized)
    if instance.guest:
        _require(instance.guest == (size[1], size[0]), "INV7 guest", id, size, instance.guest)
    tags = {f"cyclades:system:intent:{each}" for each in intents}
    _require(set(instance.tags) == tags, "INV7 tags", id, tags, instance.tags)


def _check_secrets(world: World) -> None:
    """INV14: secrets are nowhere but with whom they belong to."""
    secrets = canaries(world)
    log = world.log.text.getvalue()
    jobs = repr([each.cluster.store.jobs for each in world.clusters])
    for secret in secrets:
        _require(secret not in log, "INV14 a secret in the log", secret)
        _require(secret not in jobs, "INV14 a secret in a job", secret)
    for table in world.postgres.tables:
        sql = f"SELECT t::text FROM {table} t WHERE t::text LIKE ANY (%(secrets)s)"
        values = {"secrets": [f"%{secret}%" for secret in secrets]}
        rows = world.postgres.run(sql, values).rows
        _require(not rows, f"INV14 a secret in table {table}", rows)


def _check_log(world: World) -> None:
    """Nothing failed in a way that nobody thought of."""
    for failure in world.log.failures:
        expected = failure.check(*EXPECTED_ERRORS) or str(failure.value) == COLLECTED
        _require(bool(expected), "an unexpected error", failure.getTraceback())


def _check_reconciliation(world: World) -> None:
    """INV15: a dry run of the reconciliations finds nothing; statistics free every reservation."""
    world.wait(0.01)  # what changed in this very moment is left alone by a listing begun in it
    controller = world.controllers[min(world.controllers)]
    found = world.result(_differences(controller.app))
    _require(not found, "INV15 reconciliation", found)
    _require(world.result(reconcile_quota(controller.app)) == 0, "INV15 quota drift")
    left = world.postgres.run(statements.RESERVATIONS).rows
    _require(not left, "INV13 reservations after a reading", left)


async def _differences(app: Any) -> list[Any]:
    found: list[Any] = []
    for backend in await app.ganeti.backends.list():
        await app.ganeti.backends.refresh(backend.id)
        begun = (await app.database.read("SELECT synnefo_now()"))[0][0]
        rapi = await app.ganeti.backends.rapi(backend.id)
        listing = Listing(backend.id, begun, await rapi.instances())
        found += await app.compute.reconciliation.findings(listing)
    return found
