"""Use cases of flavors and volume types."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from synnefo_tx.compute.flavors.model import Flavor, FlavorSize, VolumeType, VolumeTypeUse
from synnefo_tx.compute.flavors.store import (
    FlavorStore,
    list_flavors,
    list_type_uses,
    list_types,
)
from synnefo_tx.compute.servers.store import count_by_flavor
from synnefo_tx.db.pool import Database, UniqueViolation
from synnefo_tx.faults import BadRequest, Conflict
from synnefo_tx.journal.record import record

RAM_STEP_MIB = 4
SIZE_MAX = 2**30
NAME_MAX = 255
# Ganeti's (constants.DISK_TEMPLATES).
TEMPLATES = frozenset(
    ("diskless", "file", "sharedfile", "plain", "blockdev", "drbd", "rbd", "gluster", "ext")
)


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

    async def sizes(
        self,
        cpus: Iterable[int],
        rams_mib: Iterable[int],
        disks_gib: Iterable[int],
        volume_types: Iterable[int],
    ) -> list[FlavorSize]:
        """The product of all sizes, RAM rounded up to 4 MiB; raises BadRequest."""
        known = {each.id: each for each in await self.types() if not each.deleted}
        found = []
        for cpu, ram, disk, kind in product(cpus, rams_mib, disks_gib, volume_types):
            if min(cpu, ram, disk) <= 0 or max(cpu, ram, disk) > SIZE_MAX:
                raise BadRequest(f"CPUs, RAM and disk must be between 1 and {SIZE_MAX}")
            if kind not in known:
                raise BadRequest(f"there is no volume type {kind}: see volume-type-list")
            rounded = -(-ram // RAM_STEP_MIB) * RAM_STEP_MIB
            found.append(FlavorSize(cpu, rounded, disk, known[kind]))
        return list(dict.fromkeys(found))

    async def create(
        self,
        cpus: Iterable[int],
        rams_mib: Iterable[int],
        disks_gib: Iterable[int],
        volume_types: Iterable[int],
        public: bool = True,
    ) -> list[int]:
        """Make flavors of all ``sizes``; ids of the new ones."""
        made = []
        sizes = await self.sizes(cpus, rams_mib, disks_gib, volume_types)
        async with self._database.transaction("flavor-create") as tx:
            for each in sizes:
                kind = each.volume_type.id
                store = FlavorStore(tx)
                id = await store.insert(each.cpu, each.ram_mib, each.disk_gib, kind, public)
                if id is not None:
                    made.append(id)
            numbers = ", ".join(map(str, made))
            await record(tx, "compute:flavor:create", "flavor", numbers)
        return made

    async def count_servers(self) -> dict[int, int]:
        """How many live servers have each flavor; those that none has are left out."""
        return await count_by_flavor(self._database)

    async def types(self) -> list[VolumeType]:
        """All volume types."""
        return await list_types(self._database)

    async def type_uses(self) -> list[VolumeTypeUse]:
        """All volume types, and how much is of each."""
        return await list_type_uses(self._database)

    async def create_type(self, name: str, disk_template: str) -> int:
        """Add a volume type; raises BadRequest, or Conflict when the name is taken."""
        template, _, provider = disk_template.partition("_")
        if template not in TEMPLATES or (template == "ext") != bool(provider):
            known = ", ".join(sorted(TEMPLATES - {"ext"}))
            raise BadRequest(f"disk template must be one of {known} or ext_<provider>")
        if not name.strip() or not name.isprintable() or len(name) > NAME_MAX:
            raise BadRequest(f"name must have 1 to {NAME_MAX} printable characters")
        try:
            async with self._database.transaction("volume-type-create") as tx:
                id = await FlavorStore(tx).insert_type(name, disk_template)
                await record(tx, "compute:volume-type:create", "volume-type", id, details=name)
                return id
        except UniqueViolation:
            raise Conflict(f"there is a volume type {name!r} already") from None
