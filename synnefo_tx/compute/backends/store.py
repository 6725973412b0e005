"""SQL of what is taken of the clusters, and of giving them up."""

from __future__ import annotations

from synnefo_tx.db.pool import Database, Transaction

# An address that rests counts as free: the next server gets it when the pool is short.
PUBLIC_ADDRESSES = """
SELECT c.backend, sum(p.size - (
    SELECT count(*) FROM pool_items i WHERE i.pool = p.id AND i.state IN ('held', 'reserved')
 ))::bigint, sum(p.size)::bigint
FROM backend_networks c
JOIN networks n ON n.id = c.network AND n.public AND NOT n.deleted
JOIN subnets s ON s.network = n.id AND s.ip_version = 4 AND NOT s.deleted
JOIN pools p ON p.subnet = s.id
WHERE c.state <> 'REMOVING' GROUP BY c.backend
"""
COUNT_SERVERS = "SELECT count(*) FROM servers WHERE backend = %(backend)s AND NOT deleted"
NETWORKS = "SELECT network FROM backend_networks WHERE backend = %(backend)s ORDER BY network"
# In order, as everybody locks them.
RELEASE_SERVERS = """
UPDATE servers SET backend = NULL WHERE id IN (
    SELECT id FROM servers WHERE backend = %(backend)s AND deleted ORDER BY id FOR UPDATE)
"""
DELETE_NETWORKS = """
DELETE FROM backend_networks WHERE backend = %(backend)s AND network IN (
    SELECT network FROM backend_networks WHERE backend = %(backend)s ORDER BY network FOR UPDATE)
RETURNING network
"""


async def public_addresses(database: Database) -> dict[int, tuple[int, int]]:
    """(free, total) public IPv4 addresses by backend; backends without any are left out."""
    rows = await database.read(PUBLIC_ADDRESSES)
    return {backend: (free, total) for backend, free, total in rows}


class RemovalStore:
    """What is on a cluster, inside the transaction that gives it up."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def count_servers(self, backend: int) -> int:
        """How many live servers are there."""
        return int(await self._tx.value(COUNT_SERVERS, {"backend": backend}))

    async def networks(self, backend: int) -> list[int]:
        """The networks that have a copy there."""
        return [row[0] for row in await self._tx.rows(NETWORKS, {"backend": backend})]

    async def release_servers(self, backend: int) -> None:
        """Let deleted servers be on no cluster."""
        await self._tx.run(RELEASE_SERVERS, {"backend": backend})

    async def delete_networks(self, backend: int) -> list[int]:
        """Forget the copies of networks there; of which networks."""
        rows = await self._tx.rows(DELETE_NETWORKS, {"backend": backend})
        return sorted(row[0] for row in rows)
