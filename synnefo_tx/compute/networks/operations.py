"""Use cases of networks and subnets."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from ipaddress import IPv4Network

from synnefo_tx.caller import Caller
from synnefo_tx.compute.networks import rules
from synnefo_tx.compute.networks.model import TYPES, BackendNetwork, Network, NetworkDraft
from synnefo_tx.compute.networks.store import NetworkStore, list_networks
from synnefo_tx.compute.pools.rules import (
    bridge_at,
    index_of_bridge,
    index_of_mac_prefix,
    mac_prefix_at,
    usable_ranges,
)
from synnefo_tx.compute.pools.store import PoolStore
from synnefo_tx.db.horizon import commit_horizon
from synnefo_tx.db.pool import Database, Transaction, UniqueViolation
from synnefo_tx.faults import BadRequest, Conflict, Forbidden, ItemNotFound, ServiceUnavailable
from synnefo_tx.ganeti.backends.store import BackendStore
from synnefo_tx.ganeti.jobs.operations import Jobs
from synnefo_tx.ganeti.jobs.store import JobStore
from synnefo_tx.ganeti.requests import link_name
from synnefo_tx.identity.quota.model import Provision
from synnefo_tx.identity.quota.operations import Quota
from synnefo_tx.journal.record import record, record_end
from synnefo_tx.log import request_id
from synnefo_tx.rest.once import ALWAYS, Once
from synnefo_tx.settings import Compute

PRIVATE_NETWORK = "cyclades.network.private"


async def journaled(
    tx: Transaction, action: str, network: Network, *, details: str = "", operation: str = ""
) -> None:
    """Write in the journal what was done to a network, or begun."""
    await record(
        tx,
        action,
        "network",
        network.id,
        owner=network.userid,
        project=network.project,
        details=details,
        operation=operation,
    )


def removal_of(id: int) -> str:
    """What the journal calls the removal of a network, which may take several jobs."""
    return f"network-delete:{id}"


class Networks:
    """Networks as their owners and the operator see them."""

    def __init__(
        self,
        database: Database,
        quota: Quota,
        jobs: Jobs,
        settings: Compute,
        new_id: Callable[[], str],
    ) -> None:
        self._database = database
        self._quota = quota
        self._jobs = jobs
        self._settings = settings
        self._new_id = new_id

    def pools(self, tx: Transaction) -> PoolStore:
        """The pools, with the settings' rest and block."""
        return PoolStore(tx, self._settings.address_rest_seconds, self._settings.address_block)

    async def horizon(self) -> datetime:
        """Since when to ask for what a listing that follows does not have."""
        return await commit_horizon(self._database)

    async def listing(self, caller: Caller, since: datetime | None = None) -> list[Network]:
        """Networks that the caller sees."""
        return await list_networks(self._database, caller.user, caller.sees_all, since)

    async def show(self, caller: Caller, id: int) -> Network:
        """One network, also a deleted one; raises ItemNotFound."""
        async with self._database.transaction("network-show") as tx:
            return await self.get_visible(tx, caller, id)

    async def get_visible(self, tx: Transaction, caller: Caller, id: int) -> Network:
        """One network; raises ItemNotFound unless the caller sees it."""
        network = await NetworkStore(tx).find_visible(id, caller.user, caller.sees_all)
        if network is None:
            raise ItemNotFound("Network not found.")
        return network

    async def create_private(
        self,
        caller: Caller,
        name: str,
        type: str,
        project: str | None,
        once: Once[Network] = ALWAYS,
    ) -> Network:
        """A network of the caller's own, charged to a project."""
        if type not in TYPES:
            raise BadRequest(f"type must be one of {', '.join(sorted(TYPES))}")
        if type not in self._settings.enabled_network_flavors:
            raise Forbidden(f"Networks of type {type} can not be created here")
        rules.check_name(name)
        project = project or caller.default_project
        async with self._database.transaction("network-create") as tx:
            await once.claim(tx)
            draft = NetworkDraft(name, type, user=caller.user, project=project)
            made = await self._created(tx, caller, draft)
            await once.keep(tx, made)
        return made

    async def create_public(
        self,
        caller: Caller,
        name: str,
        type: str,
        link: str | None,
        *,
        floating_ip_pool: bool = False,
        drained: bool = False,
    ) -> Network:
        """A public network, for the operator; its subnets are added next."""
        draft = NetworkDraft(
            name, type, link=link, floating_ip_pool=floating_ip_pool, drained=drained
        )
        async with self._database.transaction("network-create") as tx:
            return await self._created(tx, caller, draft)

    async def _created(self, tx: Transaction, caller: Caller, draft: NetworkDraft) -> Network:
        network = await self.get_visible(tx, caller, await self.insert(tx, draft))
        await journaled(tx, "network:network:create", network, details=draft.name)
        return network

    async def insert(self, tx: Transaction, draft: NetworkDraft) -> int:
        """Add a network with its bridge and MAC prefix, charged to its owner's project."""
        kind = TYPES[draft.type]
        store = NetworkStore(tx)
        id = await store.insert(
            {
                "name": draft.name,
                "userid": draft.user,
                "project": draft.project,
                "type": draft.type,
                "mode": kind.mode,
                "link": draft.link,
                "mac_prefix": draft.mac_prefix or self._settings.default_mac_prefix,
                "tags": list(kind.tags if draft.tags is None else draft.tags),
                "public": draft.user is None,
                "drained": draft.drained,
                "floating_ip_pool": draft.floating_ip_pool,
            }
        )
        if kind.own_mac_prefix:
            index_of = partial(index_of_mac_prefix, prefix=draft.mac_prefix or "")
            wanted = index_of if draft.mac_prefix else None
            taken = await self._take(tx, "mac-prefix", id, draft, wanted)
            if taken is not None:
                await store.modify(id, mac_prefix=mac_prefix_at(*taken))
        if draft.link is None or kind.own_bridge:
            await store.modify(id, link=await self._link(tx, id, draft))
        if draft.user is not None and draft.project is not None:
            charge = Provision(draft.user, draft.project, PRIVATE_NETWORK, 1)
            await self._quota.charge(tx, [charge])
        return id

    async def _link(self, tx: Transaction, id: int, draft: NetworkDraft) -> str | None:
        if TYPES[draft.type].own_bridge:
            index_of = partial(index_of_bridge, bridge=draft.link or "")
            taken = await self._take(tx, "bridge", id, draft, index_of if draft.link else None)
            return draft.link if taken is None else bridge_at(*taken)
        if draft.type == "MAC_FILTERED":
            return self._settings.mac_filtered_bridge
        if draft.type == "IP_LESS_ROUTED":
            return link_name(id, self._settings.backend_prefix_id)
        return self._settings.default_bridge

    async def _take(
        self,
        tx: Transaction,
        kind: str,
        id: int,
        draft: NetworkDraft,
        index_of: Callable[[str], int | None] | None,
    ) -> tuple[str, int] | None:
        """A value for a network: any, or the one at ``index_of(base)``; None if that one is of no
        pool."""
        pools = self.pools(tx)
        known = await pools.of_kind(kind)
        holder, owner = f"network:{id}", draft.user or ""
        if index_of is not None:
            for pool in known:
                index = index_of(pool.base)
                if index is not None and 0 <= index < pool.size:
                    if not await pools.take_index(pool.id, index, holder, owner):
                        raise Conflict(f"The {kind} is taken or reserved")
                    return pool.base, index
            return None
        bases = {pool.id: pool.base for pool in known}
        item = await pools.take(list(bases), holder, owner, wait=True)
        if item is None:
            raise ServiceUnavailable(f"No {kind} is left for a network")
        return bases[item.pool], item.index

    async def rename(self, caller: Caller, id: int, name: str) -> Network:
        """Give a network another name."""
        rules.check_name(name)
        async with self._database.transaction("network-rename") as tx:
            changed = await self._get_changeable(tx, caller, id)
            await NetworkStore(tx).modify(id, name=name)
            await journaled(tx, "network:network:rename", changed, details=name)
            return await self.get_visible(tx, caller, id)

    async def _get_changeable(self, tx: Transaction, caller: Caller, id: int) -> Network:
        network = await self.get_visible(tx, caller, id)
        if network.public and not caller.sees_all:
            raise Forbidden("Public networks can not be changed")
        locked = await NetworkStore(tx).lock(id)
        if locked is None or locked.deleted or locked.destroying:
            raise BadRequest("Network has been deleted.")
        return locked

    async def add_subnet(
        self,
        caller: Caller,
        id: int,
        cidr: str,
        *,
        gateway: str | None = None,
        no_gateway: bool = False,
        dhcp: bool = True,
        name: str = "",
    ) -> Network:
        """Give a network its IPv4 range; without ``gateway`` the first address becomes it."""
        own_min = max(self._settings.cidr_prefix_min, rules.GANETI_PREFIX_MIN)
        prefix_min = rules.GANETI_PREFIX_MIN if caller.sees_all else own_min
        network = rules.check_cidr(cidr, prefix_min)
        if not no_gateway:
            gateway = rules.check_gateway(network, gateway) or rules.first_host(network)
        rules.check_name(name)
        async with self._database.transaction("subnet-create") as tx:
            changed = await self._get_changeable(tx, caller, id)
            if await NetworkStore(tx).copies(changed.id):
                raise BadRequest("A network that servers are on takes no further subnet")
            await self.insert_subnet(tx, id, network, gateway, dhcp=dhcp, name=name)
            await journaled(tx, "network:subnet:create", changed, details=str(network))
            return await self.get_visible(tx, caller, id)

    async def insert_subnet(
        self,
        tx: Transaction,
        id: int,
        network: IPv4Network,
        gateway: str | None,
        *,
        dhcp: bool,
        name: str = "",
    ) -> None:
        """Give a network its IPv4 range, and the addresses of hosts to its pool."""
        try:
            subnet = await NetworkStore(tx).insert_subnet(id, 4, str(network), gateway, dhcp, name)
        except UniqueViolation:
            raise BadRequest("The network has an IPv4 subnet already") from None
        for base, size in usable_ranges(network, gateway):
            await self.pools(tx).insert("ipv4", subnet, base, size)
        await NetworkStore(tx).modify(id)

    async def delete(self, caller: Caller, id: int) -> None:
        """Remove a network without ports, from every cluster that has it."""
        async with self._database.transaction("network-delete") as tx:
            store = NetworkStore(tx)
            await store.lock_against_ports(id)
            network = await self._get_changeable(tx, caller, id)
            if await store.has_ports(id):
                raise Conflict("Machines are connected to the network.")
            await store.modify(id, destroying=True)
            await journaled(tx, "network:network:delete", network, operation=removal_of(id))
            intents = []
            for copy in await store.copies(network.id):
                intents += await self._withdraw(tx, copy)
            if intents:
                tx.after_commit(lambda: self._jobs.submit_soon(intents))
            else:
                await self.finish_removal(tx, id)

    async def withdraw(self, tx: Transaction, id: int, backend: int) -> list[str]:
        """Remove a locked network from one cluster, whatever becomes of it elsewhere.

        Returns the intents of that; the caller submits them after the commit. None if it is not
        there, or on its way already.
        """
        for copy in await NetworkStore(tx).copies(id):
            if copy.backend == backend and copy.state != "REMOVING":
                return await self._withdraw(tx, copy)
        return []

    async def _withdraw(self, tx: Transaction, copy: BackendNetwork) -> list[str]:
        groups = (await BackendStore(tx).get(copy.backend)).node_groups
        drafts = self._jobs_of(copy.network, copy.backend).remove(groups)
        for draft in drafts:
            await JobStore(tx).insert_intent(draft, request_id.get())
        intents = [draft.id for draft in drafts]
        await NetworkStore(tx).set_copy(copy.network, copy.backend, "REMOVING", intents)
        return intents

    async def finish_removal(self, tx: Transaction, id: int) -> None:
        """End a network that is on no cluster any more: its pools and its charge go with it."""
        store = NetworkStore(tx)
        network = await store.lock(id)
        if network is None or not network.destroying or await store.copies(id):
            return
        if not await store.mark_deleted(id):
            return
        await self.pools(tx).release([f"network:{id}"], rest=True)
        if network.userid and network.project:
            release = Provision(network.userid, network.project, PRIVATE_NETWORK, -1)
            await self._quota.charge(tx, [release], force=True)
        await record_end(tx, removal_of(id), "success")

    async def bring(self, tx: Transaction, network: Network, backend: int) -> list[str]:
        """Make sure that a network is on a cluster, or on its way.

        Returns the intents that a job which needs the network must come after; new ones are
        submitted after the commit by the caller, who lists them first. The caller holds the
        network's row shared, so it cannot be removed meanwhile; only a copy that must be made
        is locked, because all servers of a cluster share those of public networks.
        """
        store = NetworkStore(tx)
        there = await store.find_copy(network.id, backend)
        if there is not None and there.state in ("ACTIVE", "PENDING"):
            return list(there.intents)
        copy, made = await store.lock_copy(network.id, backend)
        if copy is None or copy.state == "REMOVING":
            raise Conflict("The network is being removed")
        if not made and copy.state != "ERROR":
            return list(copy.intents)
        groups = (await BackendStore(tx).get(backend)).node_groups
        drafts = self._jobs_of(network.id, backend).add(network, groups)
        for draft in drafts:
            await JobStore(tx).insert_intent(draft, request_id.get())
        intents = [draft.id for draft in drafts]
        await store.set_copy(network.id, backend, "PENDING", intents)
        return intents

    def _jobs_of(self, network: int, backend: int) -> rules.NetworkJobs:
        return rules.NetworkJobs(
            network,
            backend,
            self._settings.backend_prefix_id,
            self._settings.job_limit_seconds,
            self._new_id,
        )
