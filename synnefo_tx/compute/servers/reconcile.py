"""Compares servers with what a cluster lists (ganeti-backend reference §9.1).

The plan is pure; carrying it out goes through the same path as all news. The poller only follows
what a guest does by itself (runs or not); what is missing or foreign is told, and changed by an
operator's command alone: a cluster that lies, or was restored from an old backup, destroys nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import frozen
from twisted.logger import Logger

from synnefo_tx.compute.flavors.model import Flavor
from synnefo_tx.compute.flavors.store import FlavorStore, list_flavors
from synnefo_tx.compute.servers.events import ServerEvents
from synnefo_tx.compute.servers.lifecycle import Changes
from synnefo_tx.compute.servers.model import Server
from synnefo_tx.compute.servers.store import ServerStore, of_backend
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.backends.operations import Backends
from synnefo_tx.ganeti.jobs.store import JobStore, open_intents
from synnefo_tx.ganeti.poller import Listing
from synnefo_tx.ganeti.requests import instance_name, server_id
from synnefo_tx.journal.record import record

Kind = Literal["stale", "orphan", "state", "flavor"]
REASON = "synnefo:reconcile-servers"
# A listing with fewer of our instances than this share is not believed.
BELIEVED_SHARE = 0.5
BELIEVED_FROM = 4


@frozen
class Finding:
    """One difference between a server and its cluster."""

    kind: Kind
    instance: str
    text: str
    server: int | None = None
    operstate: str = ""
    flavor: int | None = None


def plan(
    servers: Iterable[Server],
    flavors: Mapping[int, Flavor],
    instances: Iterable[Mapping[str, Any]],
    prefix: str,
    begun: datetime,
    busy: Collection[str],
) -> list[Finding]:
    """The differences. Servers that changed since the listing ``begun``, or have an open intent
    (``busy`` holds the names of those instances), are left alone."""
    listed = {str(each["name"]): each for each in instances}
    live = {instance_name(each.id, prefix): each for each in servers}
    findings = []
    for name, server in live.items():
        if name in busy or server.state_changed >= begun or server.operstate == "ERROR":
            continue
        if name not in listed:
            findings.append(Finding("stale", name, "not on the cluster", server.id))
        else:
            findings += _compare(server, flavors, name, listed[name])
    for name in sorted(set(listed) - set(live)):
        if server_id(name, prefix) is not None and name not in busy:
            findings.append(Finding("orphan", name, "no live server here has this instance"))
    return findings


def _compare(
    server: Server, flavors: Mapping[int, Flavor], name: str, instance: Mapping[str, Any]
) -> list[Finding]:
    findings = []
    state = "STARTED" if instance.get("oper_state") else "STOPPED"
    if server.operstate in ("STARTED", "STOPPED") and state != server.operstate:
        text = f"{server.operstate} here, {state} on the cluster"
        findings.append(Finding("state", name, text, server.id, operstate=state))
    flavor = flavors[server.flavor]
    parameters = instance.get("beparams") or {}
    size = (parameters.get("vcpus"), parameters.get("maxmem"))
    if size != (flavor.cpu, flavor.ram_mib):
        text = f"{flavor.name} here, {size[0]} CPUs and {size[1]} MiB on the cluster"
        match = next((each.id for each in flavors.values() if _same(each, flavor, size)), None)
        findings.append(Finding("flavor", name, text, server.id, flavor=match))
    return findings


def _same(flavor: Flavor, like: Flavor, size: tuple[Any, Any]) -> bool:
    return (flavor.cpu, flavor.ram_mib) == size and (flavor.disk_gib, flavor.volume_type) == (
        like.disk_gib,
        like.volume_type,
    )


def believable(things: Collection[object], differing: int) -> bool:
    """Whether so many of our servers or instances may differ, or it is rather a fault."""
    return len(things) < BELIEVED_FROM or differing <= len(things) * BELIEVED_SHARE


@frozen
class Comparison:
    """What differs between servers and a listing of their cluster.

    ``brakes`` says, for kinds of which there are too many to be believed, why.
    """

    listing: Listing
    findings: list[Finding]
    brakes: Mapping[Kind, str]


@frozen
class Settled:
    """What became of a finding: ``fixed``, or why it was not."""

    finding: Finding
    fixed: bool
    text: str


def brakes(
    servers: Collection[Server], ours: Collection[str], found: Iterable[Finding]
) -> dict[Kind, str]:
    """Why findings are not to be believed: a cluster that lost most of our servers has rather
    been confused with another; most of whose instances are unknown, the database has."""
    kinds = Counter(each.kind for each in found)
    texts: dict[Kind, str] = {}
    if not believable(servers, kinds["stale"]):
        texts["stale"] = f"the cluster lacks {kinds['stale']} of {len(servers)} servers"
    if not believable(ours, kinds["orphan"]):
        texts["orphan"] = f"{kinds['orphan']} of {len(ours)} instances are of no server here"
    return texts


class Reconciliation:
    """Carries out plans."""

    log = Logger()

    def __init__(
        self, database: Database, events: ServerEvents, backends: Backends, backend_prefix: str
    ) -> None:
        self._database = database
        self._events = events
        self._backends = backends
        self._backend_prefix = backend_prefix

    async def compare(self, listing: Listing) -> Comparison:
        """What differs between a listing and the servers of its cluster."""
        servers = await of_backend(self._database, listing.backend)
        busy = {each.instance for each in await open_intents(self._database, listing.backend)}
        flavors = {each.id: each for each in await list_flavors(self._database, everything=True)}
        prefix = self._backend_prefix
        found = plan(servers, flavors, listing.instances, prefix, listing.begun, busy)
        names = [str(each["name"]) for each in listing.instances]
        ours = [name for name in names if server_id(name, prefix) is not None]
        return Comparison(listing, found, brakes(servers, ours, found))

    async def settle(
        self, comparison: Comparison, kinds: Collection[Kind], *, override: bool = False
    ) -> list[Settled]:
        """Fix the findings of some kinds; ``override`` releases the brakes. Raises RapiFailure."""
        settled = []
        for each in comparison.findings:
            brake = comparison.brakes.get(each.kind)
            if each.kind not in kinds:
                settled.append(Settled(each, False, ""))
            elif brake is not None and not override:
                settled.append(Settled(each, False, f"not believed: {brake}"))
            elif each.kind == "flavor" and each.flavor is None:
                settled.append(Settled(each, False, "no flavor has this size"))
            elif await self.fix(each, comparison.listing):
                settled.append(Settled(each, True, "fixed"))
            else:
                settled.append(Settled(each, False, "the server changed meanwhile"))
        return settled

    async def findings(self, listing: Listing) -> list[Finding]:
        """What differs as far as it can be followed: of a listing that lacks most servers,
        nothing but that."""
        comparison = await self.compare(listing)
        if "stale" not in comparison.brakes:
            return comparison.findings
        self.log.error(
            "cluster {backend}: {brake}: nothing is changed",
            backend=listing.backend,
            brake=comparison.brakes["stale"],
        )
        return [each for each in comparison.findings if each.kind == "stale"]

    async def follow(self, listing: Listing) -> int:
        """What the poller does with a listing: follow guests; the count of other differences."""
        found = await self.findings(listing)
        for each in found:
            if each.kind == "state":
                await self.fix(each, listing)
        return sum(each.kind != "state" for each in found)

    async def fix(self, finding: Finding, listing: Listing) -> bool:
        """Make the server as its cluster has it, or the cluster as we do; False if it changed."""
        if finding.kind == "orphan":
            return await self._remove_orphan(finding, listing.backend)
        async with self._database.transaction("server-reconcile") as tx:
            server = await ServerStore(tx).lock(finding.server or 0)
            if server is None or server.deleted or server.state_changed >= listing.begun:
                return False
            if await JobStore(tx).of_subject(f"server:{server.id}"):
                return False
            changes = self._changes(finding, server)
            if finding.flavor is not None:
                await FlavorStore(tx).get(finding.flavor)
                await ServerStore(tx).set_task_flavor(server.id, finding.flavor)
            await self._events.change(tx, server, changes, None)
            await record(
                tx,
                "compute:server:reconcile",
                "server",
                server.id,
                owner=server.userid,
                project=server.project,
                details=finding.text,
            )
        return True

    async def _remove_orphan(self, finding: Finding, backend: int) -> bool:
        rapi = await self._backends.rapi(backend)
        async with self._database.transaction("orphan-remove") as tx:
            # Before it is asked for: what was asked of a cluster can't be taken back.
            name = finding.instance
            await record(tx, "compute:server:orphan:remove", "backend", backend, details=name)
        await rapi.delete_instance(finding.instance, REASON)
        return True

    def _changes(self, finding: Finding, server: Server) -> Changes:
        if finding.kind == "stale":
            return Changes("DESTROYED", task_ended=True, destroyed=True, volumes="DELETED")
        if finding.kind == "flavor":
            return Changes(server.operstate, take_task_flavor=True, task_ended=True)
        return Changes(finding.operstate)
