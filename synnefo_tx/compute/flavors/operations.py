"""Use cases of flavors and volume types."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from synnefo_tx.compute.flavors.model import Flavor, VolumeType
from synnefo_tx.compute.flavors.store import FlavorStore, list_flavors, list_types
from synnefo_tx.db.pool import Database, UniqueViolation
from synnefo_tx.faults import BadRequest, Conflict

RAM_STEP_MIB = 4


class Flavors:
    """Flavors and volume types as callers see them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def listing(self, everything: bool = False) -> list[Flavor]:
        """Live public flavors by id; with ``everything`` all of them."""
        return await list_flavors(self._database, everything)

    async def show(self, id: int) -> Flavor:
        """One flavor, also a deleted one; raises ItemNotFound."""
        async with self._database.transaction("flavor-show") as tx:
            return await FlavorStore(tx).get(id)

    async def create(
        self,
        cpus: Iterable[int],
        rams_mib: Iterable[int],
        disks_gib: Iterable[int],
        volume_types: Iterable[int],
        public: bool = True,
    ) -> list[int]:
        """Make the product of all sizes; ids of the new ones. RAM is rounded up to 4 MiB."""
        known = {each.id for each in await list_types(self._database) if not each.deleted}
        made = []
        async with self._database.transaction("flavor-create") as tx:
            for cpu, ram, disk, kind in product(cpus, rams_mib, disks_gib, volume_types):
                if min(cpu, ram, disk) <= 0:
                    raise BadRequest("CPUs, RAM and disk must be greater than zero")
                if kind not in known:
                    raise BadRequest(f"there is no volume type {kind}: see volume-type-list")
                rounded = -(-ram // RAM_STEP_MIB) * RAM_STEP_MIB
                id = await FlavorStore(tx).insert(cpu, rounded, disk, kind, public)
                if id is not None:
                    made.append(id)
        return made

    async def types(self) -> list[VolumeType]:
        """All volume types."""
        return await list_types(self._database)

    async def create_type(self, name: str, disk_template: str) -> int:
        """Add a volume type; raises Conflict when the name is taken."""
        try:
            async with self._database.transaction("volume-type-create") as tx:
                return await FlavorStore(tx).insert_type(name, disk_template)
        except UniqueViolation:
            raise Conflict(f"there is a volume type {name!r} already") from None
