"""SQL of backends, their nodes and the reservations on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from attrs import asdict

from synnefo_tx.db.pool import Database, Hot, Row, Transaction
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.ganeti.backends.model import Backend, NodeFigures, Size

COLUMNS = """id, clustername, host, port, username, password_sealed, ca_pem, fingerprint, drained,
 offline, public, hypervisor, version, disk_templates, node_groups, mfree_mib, mtotal_mib,
 dfree_mib, dtotal_mib, ctotal, pinst_cnt, reserved_mib, reserved_disk_mib, reserved_instances,
 stats_at, last_job_id"""
SELECT = f"SELECT {COLUMNS} FROM backends"
CANDIDATES = Hot(SELECT + " WHERE NOT offline AND NOT drained ORDER BY id")
INSERT = """
INSERT INTO backends (clustername, host, port, username, password_sealed, ca_pem, fingerprint,
 hypervisor, public)
VALUES (%(clustername)s, %(host)s, %(port)s, %(username)s, %(password_sealed)s, %(ca_pem)s,
 %(fingerprint)s, %(hypervisor)s, %(public)s)
RETURNING id
"""
UPDATE_FIGURES = """
UPDATE backends SET mfree_mib = %(mfree_mib)s, mtotal_mib = %(mtotal_mib)s,
 dfree_mib = %(dfree_mib)s, dtotal_mib = %(dtotal_mib)s, ctotal = %(ctotal)s,
 pinst_cnt = %(pinst_cnt)s, stats_at = %(begun)s, disk_templates = %(disk_templates)s,
 node_groups = %(node_groups)s, version = %(version)s
WHERE id = %(id)s AND (stats_at IS NULL OR stats_at < %(begun)s)
"""
# A job that ended before the reading began is in the measured figures: its reservation goes.
RELEASE_SHOWN = """
WITH shown AS (
    DELETE FROM reservations WHERE backend = %(id)s AND ended < %(begun)s
    RETURNING ram_mib, disk_mib
), sums AS (
    SELECT coalesce(sum(ram_mib), 0) AS ram, coalesce(sum(disk_mib), 0) AS disk,
        count(*) AS instances FROM shown
)
UPDATE backends SET reserved_mib = reserved_mib - sums.ram,
 reserved_disk_mib = reserved_disk_mib - sums.disk,
 reserved_instances = reserved_instances - sums.instances
FROM sums WHERE id = %(id)s AND sums.instances > 0
"""
# The one conditional debit; nothing returned means that the cluster has filled up meanwhile.
DEBIT = Hot("""
WITH debited AS (
    UPDATE backends SET reserved_mib = reserved_mib + %(ram_mib)s,
     reserved_disk_mib = reserved_disk_mib + %(disk_mib)s,
     reserved_instances = reserved_instances + 1
    WHERE id = %(id)s AND NOT offline AND (NOT drained OR %(even_drained)s)
     AND mfree_mib - reserved_mib > %(ram_mib)s AND dfree_mib - reserved_disk_mib > %(disk_mib)s
     AND (pinst_cnt + reserved_instances + 1) * %(vcpus)s < ctotal * %(ratio)s
    RETURNING id
)
INSERT INTO reservations (intent, backend, ram_mib, disk_mib)
SELECT %(intent)s, id, %(ram_mib)s, %(disk_mib)s FROM debited
RETURNING intent
""")
END_RESERVATION = Hot(
    "UPDATE reservations SET ended = synnefo_now() WHERE intent = %(intent)s AND ended IS NULL"
)
CANCEL_RESERVATION = """
WITH gone AS (
    DELETE FROM reservations WHERE intent = %(intent)s RETURNING backend, ram_mib, disk_mib
)
UPDATE backends SET reserved_mib = reserved_mib - gone.ram_mib,
 reserved_disk_mib = reserved_disk_mib - gone.disk_mib,
 reserved_instances = reserved_instances - 1
FROM gone WHERE id = gone.backend
"""
DELETE_NODES = "DELETE FROM backend_nodes WHERE backend = %(id)s"
INSERT_NODES = """
INSERT INTO backend_nodes (backend, name, primary_ip)
SELECT %(id)s, name, ip FROM unnest(%(names)s::text[], %(ips)s::text[]) AS node (name, ip)
"""
NODE_ADDRESS = "SELECT primary_ip FROM backend_nodes WHERE backend = %(id)s AND name = %(name)s"
HAS_NODE_ADDRESS = """
SELECT EXISTS (
    SELECT FROM backend_nodes WHERE backend = %(id)s AND primary_ip = %(address)s)
"""
RAISE_LAST_JOB = Hot("""
UPDATE backends SET last_job_id = %(job_id)s WHERE id = %(id)s AND last_job_id < %(job_id)s
""")
DELETE_RESERVATIONS = "DELETE FROM reservations WHERE backend = %(id)s"
DELETE_INTENTS = "DELETE FROM intents WHERE backend = %(id)s"
DELETE = "DELETE FROM backends WHERE id = %(id)s"
MODIFIABLE = (
    "clustername", "host", "port", "username", "password_sealed", "ca_pem", "fingerprint",
    "drained", "offline", "public", "hypervisor",
)  # fmt: skip


def from_row(row: Row) -> Backend:
    """A backend from the columns of COLUMNS."""
    values = list(row)
    values[5] = bytes(values[5])
    return Backend(*values)


async def all_backends(database: Database) -> list[Backend]:
    """Every backend, without a transaction: for pollers and listings."""
    return [from_row(row) for row in await database.read(SELECT + " ORDER BY id")]


class BackendStore:
    """Backends inside a transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def insert(self, values: Mapping[str, Any]) -> int:
        """Add a backend (drained, as the original does); its id."""
        return int(await self._tx.value(INSERT, values))

    async def get(self, id: int) -> Backend:
        """The backend ``id``; raises ItemNotFound."""
        row = await self._tx.row(SELECT + " WHERE id = %(id)s", {"id": id})
        if row is None:
            raise ItemNotFound(f"Backend {id} not found")
        return from_row(row)

    async def lock(self, id: int) -> Backend:
        """The backend ``id``, locked against servers coming there; raises ItemNotFound."""
        row = await self._tx.row(SELECT + " WHERE id = %(id)s FOR UPDATE", {"id": id})
        if row is None:
            raise ItemNotFound(f"Backend {id} not found")
        return from_row(row)

    async def delete(self, id: int) -> None:
        """Remove a backend on which nothing is, with its jobs and reservations."""
        for sql in (DELETE_RESERVATIONS, DELETE_INTENTS, DELETE):
            await self._tx.run(sql, {"id": id})

    async def modify(self, id: int, changes: Mapping[str, Any]) -> None:
        """Set some of the columns in MODIFIABLE."""
        names = [name for name in MODIFIABLE if name in changes]
        if names:
            assignments = ", ".join(f"{name} = %({name})s" for name in names)
            await self._tx.run(
                f"UPDATE backends SET {assignments} WHERE id = %(id)s",
                {**changes, "id": id},
            )

    async def candidates(self) -> list[Backend]:
        """Backends that are neither offline nor drained; no row is locked."""
        return [from_row(row) for row in await self._tx.rows(CANDIDATES)]

    async def debit(self, id: int, size: Size, intent: str, *, even_drained: bool = False) -> bool:
        """Reserve room for the instance of ``intent``; False if there is none any more."""
        values = {"id": id, "intent": intent, "even_drained": even_drained, **asdict(size)}
        return await self._tx.row(DEBIT, values) is not None

    async def end_reservation(self, intent: str) -> None:
        """The job of ``intent`` ended: the next reading begun after that shows its effect."""
        await self._tx.run(END_RESERVATION, {"intent": intent})

    async def cancel_reservation(self, intent: str) -> None:
        """The job of ``intent`` never came to be: give its room back at once."""
        await self._tx.run(CANCEL_RESERVATION, {"intent": intent})

    async def record_reading(
        self,
        id: int,
        begun: datetime,
        figures: NodeFigures,
        cluster: Mapping[str, Any],
        nodes: Mapping[str, str],
    ) -> None:
        """Store figures read since ``begun`` and drop the reservations that they show."""
        values = {
            "id": id,
            "begun": begun,
            "mfree_mib": figures.mfree_mib,
            "mtotal_mib": figures.mtotal_mib,
            "dfree_mib": figures.dfree_mib,
            "dtotal_mib": figures.dtotal_mib,
            "ctotal": figures.ctotal,
            "pinst_cnt": figures.pinst_cnt,
            **cluster,
        }
        if await self._tx.run(UPDATE_FIGURES, values) == 0:
            return
        await self._tx.run(RELEASE_SHOWN, {"id": id, "begun": begun})
        await self._tx.run(DELETE_NODES, {"id": id})
        names: Sequence[str] = list(nodes)
        await self._tx.run(
            INSERT_NODES, {"id": id, "names": names, "ips": [nodes[name] for name in names]}
        )

    async def node_address(self, id: int, node: str) -> str | None:
        """The primary address of a node of this backend."""
        value = await self._tx.value(NODE_ADDRESS, {"id": id, "name": node})
        return None if value is None else str(value)

    async def has_node_address(self, id: int, address: str) -> bool:
        """Whether one of the backend's nodes has that primary address."""
        values = {"id": id, "address": address}
        return bool(await self._tx.value(HAS_NODE_ADDRESS, values))

    async def raise_last_job(self, id: int, job_id: int) -> None:
        """Remember the highest job id seen on a cluster."""
        await self._tx.run(RAISE_LAST_JOB, {"id": id, "job_id": job_id})
