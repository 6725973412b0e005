"""Giving up a cluster: what is stored of it goes, and our networks go from it (operations reference
§2.2).

In steps that can be repeated: it is drained, so that no server comes there any more; networks are
taken from it by jobs, if it answers; then deleted servers lose it, and its rows go. A server that
lives there stops each step.
"""

from __future__ import annotations

from functools import partial

from twisted.logger import Logger

from synnefo_tx.compute.backends.store import RemovalStore
from synnefo_tx.compute.networks.operations import Networks
from synnefo_tx.compute.networks.store import NetworkStore
from synnefo_tx.db.pool import Database, Transaction
from synnefo_tx.db.transaction import BULK_SECONDS
from synnefo_tx.faults import Conflict
from synnefo_tx.ganeti.backends.operations import Backends
from synnefo_tx.ganeti.backends.store import BackendStore
from synnefo_tx.ganeti.jobs.operations import Jobs
from synnefo_tx.journal.record import record


class BackendRemoval:
    """Removes backends."""

    log = Logger()

    def __init__(
        self, database: Database, backends: Backends, networks: Networks, jobs: Jobs
    ) -> None:
        self._database = database
        self._backends = backends
        self._networks = networks
        self._jobs = jobs

    async def drain(self, id: int) -> None:
        """Keep servers off a cluster; raises ItemNotFound, or Conflict while some live there."""
        async with self._database.transaction("backend-drain") as tx:
            await BackendStore(tx).lock(id)
            await self._check_empty(tx, id)
            await BackendStore(tx).modify(id, {"drained": True})
            await record(tx, "ganeti:backend:modify", "backend", id, details="drained")

    async def withdraw_networks(self, id: int) -> list[int]:
        """Ask a cluster to remove our networks; which are on the way.

        Raises RapiFailure when it does not answer.
        """
        rapi = await self._backends.rapi(id)
        await rapi.info()
        async with self._database.transaction("backend-networks") as tx:
            networks = await RemovalStore(tx).networks(id)
        for network in networks:
            async with self._database.transaction("network-withdraw") as tx:
                await NetworkStore(tx).lock(network)
                await self._check_empty(tx, id)
                intents = await self._networks.withdraw(tx, network, id)
                details = f"from cluster {id}"
                await record(tx, "network:network:withdraw", "network", network, details=details)
                tx.after_commit(partial(self._jobs.submit_soon, intents))
        return networks

    async def forget(self, id: int) -> None:
        """Remove a cluster's rows; networks that were to be removed, and were on no other, end.

        Raises ItemNotFound, or Conflict while servers live there.
        """
        async with self._database.transaction("backend-remove", limit_seconds=BULK_SECONDS) as tx:
            store = RemovalStore(tx)
            backend = await BackendStore(tx).get(id)
            await store.release_servers(id)
            networks = await store.delete_networks(id)
            await BackendStore(tx).lock(id)
            await self._check_empty(tx, id)
            await BackendStore(tx).delete(id)
            name = backend.clustername
            await record(tx, "ganeti:backend:remove", "backend", id, details=name)
        self._backends.forget(id)
        for network in networks:
            async with self._database.transaction("network-end") as tx:
                await self._networks.finish_removal(tx, network)

    async def _check_empty(self, tx: Transaction, id: int) -> None:
        left = await RemovalStore(tx).count_servers(id)
        if left:
            raise Conflict(f"{left} servers live there: see server-list --backend-id {id}")
