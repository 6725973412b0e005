"""What the operator alone does with networks: public ones, networks for users, whole clusters."""

from __future__ import annotations

from collections.abc import Sequence

from synnefo_tx.caller import OPERATOR
from synnefo_tx.compute.changes import EVER
from synnefo_tx.compute.networks import rules
from synnefo_tx.compute.networks.model import BackendNetwork, Network, NetworkDraft, NetworkUse
from synnefo_tx.compute.networks.operations import Networks
from synnefo_tx.compute.networks.store import NetworkStore, list_networks, network_uses
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.backends.store import all_backends
from synnefo_tx.ganeti.jobs.operations import Jobs
from synnefo_tx.journal.record import record

CIDR_PREFIX_MIN = 8


class NetworkAdministration:
    """Networks as the operator makes and lists them."""

    def __init__(self, database: Database, networks: Networks, jobs: Jobs) -> None:
        self._database = database
        self._networks = networks
        self._jobs = jobs

    async def list_all(self) -> list[NetworkUse]:
        """Every network, deleted ones too, by id."""
        found = await list_networks(self._database, "", True, EVER)
        uses = await network_uses(self._database)
        return [NetworkUse(each, *uses.get(each.id, (0, ()))) for each in found]

    async def create(self, draft: NetworkDraft) -> tuple[Network, list[BackendNetwork]]:
        """Make a network, with its subnet if one is named, and bring a public one to all clusters.

        The network, and its copies on clusters as far as they are known. Raises BadRequest,
        Conflict, OverLimit, RequestEntityTooLarge or ServiceUnavailable; then nothing is made.
        """
        rules.check_draft(draft)
        async with self._database.transaction("network-create") as tx:
            id = await self._networks.insert(tx, draft)
            if draft.subnet is not None:
                cidr = rules.check_cidr(draft.subnet, CIDR_PREFIX_MIN)
                gateway = rules.check_gateway(cidr, draft.gateway)
                await self._networks.insert_subnet(tx, id, cidr, gateway, dhcp=draft.dhcp)
            await record(
                tx,
                "network:network:create",
                "network",
                id,
                owner=draft.user,
                project=draft.project,
                details=draft.name,
            )
        copies = await self.bring_everywhere(id) if draft.user is None else []
        return await self._networks.show(OPERATOR, id), copies

    async def bring_public(self, backends: Sequence[int]) -> list[tuple[Network, BackendNetwork]]:
        """Bring all live public networks to some clusters; what is of each there now."""
        copies = []
        for network in await self._networks.listing(OPERATOR):
            if network.public and not network.destroying:
                copies += [(network, await self._bring(network.id, id)) for id in backends]
        return [(network, copy) for network, copy in copies if copy is not None]

    async def bring_everywhere(self, id: int) -> list[BackendNetwork]:
        """Bring a network to every cluster that is not offline and whose node groups are known;
        what is of it there now."""
        online = [each for each in await all_backends(self._database) if not each.offline]
        known = [each.id for each in online if each.node_groups]
        copies = [await self._bring(id, backend) for backend in known]
        return [copy for copy in copies if copy is not None]

    async def _bring(self, id: int, backend: int) -> BackendNetwork | None:
        async with self._database.transaction("network-bring") as tx:
            network = await NetworkStore(tx).share(id)
            if network is None or network.deleted or network.destroying:
                return None
            intents = await self._networks.bring(tx, network, backend)
            tx.after_commit(lambda: self._jobs.submit_soon(intents))
        async with self._database.transaction("network-copy") as tx:
            return await NetworkStore(tx).find_copy(id, backend)
