"""SQL of flavors and volume types."""

from __future__ import annotations

from synnefo_tx.compute.flavors.model import Flavor, VolumeType, VolumeTypeUse
from synnefo_tx.db.pool import Database, Hot, Row, Transaction
from synnefo_tx.faults import ItemNotFound

SELECT = """
SELECT f.id, f.cpu, f.ram_mib, f.disk_gib, f.allow_create, f.public, f.deleted,
 t.id, t.name, t.disk_template, t.deleted
FROM flavors f JOIN volume_types t ON t.id = f.volume_type
"""
LIST = SELECT + " WHERE NOT f.deleted AND f.public ORDER BY f.id"
LIST_ALL = SELECT + " ORDER BY f.id"
GET = Hot(SELECT + " WHERE f.id = %(id)s")
INSERT = """
INSERT INTO flavors (cpu, ram_mib, disk_gib, volume_type, public)
VALUES (%(cpu)s, %(ram_mib)s, %(disk_gib)s, %(volume_type)s, %(public)s)
ON CONFLICT (cpu, ram_mib, disk_gib, volume_type) DO NOTHING RETURNING id
"""
INSERT_TYPE = """
INSERT INTO volume_types (name, disk_template) VALUES (%(name)s, %(disk_template)s) RETURNING id
"""
TYPE_USES = """
SELECT t.id, t.name, t.disk_template, t.deleted,
 (SELECT count(*) FROM flavors f WHERE f.volume_type = t.id AND NOT f.deleted),
 (SELECT count(*) FROM volumes v WHERE v.volume_type = t.id AND NOT v.deleted)
FROM volume_types t ORDER BY t.id
"""
TYPES = "SELECT id, name, disk_template, deleted FROM volume_types ORDER BY id"


def from_row(row: Row) -> Flavor:
    """A flavor from the columns of SELECT."""
    id, cpu, ram_mib, disk_gib, allow_create, public, deleted, *volume_type = row
    kind = VolumeType(*volume_type)
    return Flavor(id, cpu, ram_mib, disk_gib, kind, allow_create, public, deleted)


async def list_flavors(database: Database, everything: bool = False) -> list[Flavor]:
    """Live public flavors, or all of them for an operator."""
    return [from_row(row) for row in await database.read(LIST_ALL if everything else LIST)]


async def list_types(database: Database) -> list[VolumeType]:
    """All volume types."""
    return [VolumeType(*row) for row in await database.read(TYPES)]


async def list_type_uses(database: Database) -> list[VolumeTypeUse]:
    """All volume types, with the counts of live flavors and volumes."""
    rows = await database.read(TYPE_USES)
    return [VolumeTypeUse(VolumeType(*row[:4]), *row[4:]) for row in rows]


class FlavorStore:
    """Flavors inside a transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def get(self, id: int) -> Flavor:
        """The flavor ``id``, deleted or not; raises ItemNotFound."""
        row = await self._tx.row(GET, {"id": id})
        if row is None:
            raise ItemNotFound("Flavor not found.")
        return from_row(row)

    async def get_usable(self, id: int) -> Flavor:
        """A flavor that a new server may have; raises ItemNotFound."""
        flavor = await self.get(id)
        if flavor.deleted or not flavor.public:
            raise ItemNotFound("Flavor not found.")
        return flavor

    async def insert(
        self, cpu: int, ram_mib: int, disk_gib: int, volume_type: int, public: bool
    ) -> int | None:
        """Add a flavor; its id, or None if there was one of that size."""
        values = {
            "cpu": cpu,
            "ram_mib": ram_mib,
            "disk_gib": disk_gib,
            "volume_type": volume_type,
            "public": public,
        }
        id = await self._tx.value(INSERT, values)
        return None if id is None else int(id)

    async def insert_type(self, name: str, disk_template: str) -> int:
        """Add a volume type; raises UniqueViolation when the name is taken."""
        values = {"name": name, "disk_template": disk_template}
        return int(await self._tx.value(INSERT_TYPE, values))
