"""SQL of what is taken of the clusters."""

from __future__ import annotations

from synnefo_tx.db.pool import Database

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


async def public_addresses(database: Database) -> dict[int, tuple[int, int]]:
    """(free, total) public IPv4 addresses by backend; backends without any are left out."""
    rows = await database.read(PUBLIC_ADDRESSES)
    return {backend: (free, total) for backend, free, total in rows}
