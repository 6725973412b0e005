"""Use cases of pools of bridges and MAC prefixes; those of addresses come with their subnets."""

from __future__ import annotations

from synnefo_tx.compute.pools import rules
from synnefo_tx.compute.pools.model import PoolMap, PoolUse
from synnefo_tx.compute.pools.store import PoolStore, pool_maps, pool_uses
from synnefo_tx.db.pool import Database
from synnefo_tx.faults import Conflict
from synnefo_tx.journal.record import record
from synnefo_tx.settings import Compute

KINDS = ("bridge", "mac-prefix")


class Pools:
    """Pools as the operator sees them."""

    def __init__(self, database: Database, settings: Compute) -> None:
        self._database = database
        self._settings = settings

    async def listing(self) -> list[PoolUse]:
        """All pools of bridges and MAC prefixes, and what is taken of them."""
        return await pool_uses(self._database, KINDS)

    async def maps_of_subnet(self, subnet: int) -> list[PoolMap]:
        """The pools of a subnet with what is taken of them; those of a deleted one are gone."""
        return await pool_maps(self._database, subnet)

    async def create(self, kind: str, base: str, size: int) -> int:
        """Add the pool of a kind; its id. The first MAC prefix is reserved: networks without
        their own have it. Raises BadRequest, or Conflict when there is one."""
        rules.check_pool(kind, base, size)
        own = self._settings
        async with self._database.transaction("pool-create") as tx:
            store = PoolStore(tx, own.address_rest_seconds, own.address_block)
            await store.lock_all()
            if await store.of_kind(kind):
                raise Conflict(f"there is a pool of type {kind} already: see pool-list")
            id = await store.insert(kind, None, base.lower() if kind != "bridge" else base, size)
            if kind == "mac-prefix":
                await store.reserve(id, 0)
            await record(tx, "compute:pool:create", "pool", id, details=f"{kind} {base}")
            return id
