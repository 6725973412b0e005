"""SQL of networks, subnets and their copies on clusters."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from attrs import evolve

from synnefo_tx.compute.networks.model import BackendNetwork, Network, Subnet
from synnefo_tx.compute.visibility import VIEWER, VIEWERS, sees_network
from synnefo_tx.db.pool import Database, Hot, Row, Transaction

COLUMNS = """n.id, n.name, n.userid::text, n.project::text, n.type, n.mode, n.link, n.mac_prefix,
 n.tags, n.public, n.drained, n.floating_ip_pool, n.destroying, n.deleted, n.created, n.updated"""
SUBNET_COLUMNS = "id, network, name, ip_version, cidr::text, host(gateway), dhcp, deleted"
VISIBLE = f"({sees_network('n', '%(user)s')} OR %(operator)s)"
LIST = f"SELECT {COLUMNS} FROM networks n WHERE {VISIBLE} AND NOT n.deleted ORDER BY n.id"
CHANGES = (
    f"SELECT {COLUMNS} FROM networks n WHERE {VISIBLE} AND n.updated >= %(since)s ORDER BY n.id"
)
GET = Hot(f"SELECT {COLUMNS} FROM networks n WHERE n.id = %(id)s AND {VISIBLE}")
SEEN = f"""
SELECT {COLUMNS}, array_agg({VIEWER}::text) FROM networks n
JOIN {VIEWERS} ON {sees_network("n", VIEWER)}
WHERE n.id = ANY (%(ids)s) AND NOT n.deleted GROUP BY n.id
"""
# Servers are put on a public network all the time: news and changes of the network must not wait
# for a moment when none is. Only its removal must.
LOCK = f"SELECT {COLUMNS} FROM networks n WHERE n.id = %(id)s FOR NO KEY UPDATE"
LOCK_AGAINST_PORTS = f"SELECT {COLUMNS} FROM networks n WHERE n.id = %(id)s FOR UPDATE"
SHARE = Hot(f"SELECT {COLUMNS} FROM networks n WHERE n.id = %(id)s FOR KEY SHARE")
# Public networks that may give addresses to new servers.
PUBLIC_V4 = f"""
SELECT {COLUMNS} FROM networks n WHERE n.public AND NOT n.drained AND NOT n.deleted
 AND NOT n.destroying AND EXISTS (
    SELECT FROM subnets s WHERE s.network = n.id AND s.ip_version = 4 AND NOT s.deleted)
ORDER BY n.id
"""
SUBNETS = Hot(f"""
SELECT {SUBNET_COLUMNS} FROM subnets WHERE network = ANY (%(networks)s) ORDER BY id
""")
INSERT = """
INSERT INTO networks (name, userid, project, type, mode, link, mac_prefix, tags, public, drained,
 floating_ip_pool, created, updated)
VALUES (%(name)s, %(userid)s, %(project)s, %(type)s, %(mode)s, %(link)s, %(mac_prefix)s, %(tags)s,
 %(public)s, %(drained)s, %(floating_ip_pool)s, synnefo_now(), synnefo_now()) RETURNING id
"""
INSERT_SUBNET = """
INSERT INTO subnets (network, name, ip_version, cidr, gateway, dhcp)
VALUES (%(network)s, %(name)s, %(ip_version)s, %(cidr)s, %(gateway)s, %(dhcp)s) RETURNING id
"""
SET = """
UPDATE networks SET name = coalesce(%(name)s, name),
 mac_prefix = coalesce(%(mac_prefix)s, mac_prefix), link = coalesce(%(link)s, link),
 destroying = destroying OR %(destroying)s, updated = synnefo_now() WHERE id = %(id)s
"""
MARK_DELETED = """
UPDATE networks SET deleted = true, updated = synnefo_now() WHERE id = %(id)s AND NOT deleted
"""
MARK_SUBNETS_DELETED = "UPDATE subnets SET deleted = true WHERE network = %(id)s"
DELETE_POOL_ITEMS = """
DELETE FROM pool_items WHERE pool IN (
    SELECT p.id FROM pools p JOIN subnets s ON s.id = p.subnet WHERE s.network = %(id)s)
"""
DELETE_POOLS = "DELETE FROM pools WHERE subnet IN (SELECT id FROM subnets WHERE network = %(id)s)"
HAS_PORTS = "SELECT EXISTS (SELECT FROM ports WHERE network = %(id)s)"
USES = """
SELECT n.id, (SELECT count(DISTINCT server) FROM ports p WHERE p.network = n.id),
 (SELECT array_agg(c.backend ORDER BY c.backend) FROM backend_networks c WHERE c.network = n.id)
FROM networks n
"""
COPY_COLUMNS = "network, backend, state, intents::text[]"
COPIES = f"""
SELECT {COPY_COLUMNS} FROM backend_networks WHERE network = %(network)s ORDER BY backend FOR UPDATE
"""
COPY = Hot(f"""
SELECT {COPY_COLUMNS} FROM backend_networks WHERE network = %(network)s AND backend = %(backend)s
""")
# The row is locked, whoever made it: two servers that need the same copy make it once.
INSERT_COPY = """
INSERT INTO backend_networks (network, backend, state) VALUES (%(network)s, %(backend)s, 'PENDING')
ON CONFLICT (network, backend) DO NOTHING RETURNING network
"""
LOCK_COPY = COPY + " FOR UPDATE"
SET_COPY = """
UPDATE backend_networks SET state = %(state)s, intents = %(intents)s::uuid[]
WHERE network = %(network)s AND backend = %(backend)s
"""
DELETE_COPY = "DELETE FROM backend_networks WHERE network = %(network)s AND backend = %(backend)s"


def from_row(row: Row) -> Network:
    """A network without its subnets, from the columns of COLUMNS."""
    return Network(*row)


def _with_subnets(networks: Sequence[Network], rows: Sequence[Row]) -> list[Network]:
    by_network: dict[int, list[Subnet]] = {}
    for row in rows:
        subnet = Subnet(*row)
        by_network.setdefault(subnet.network, []).append(subnet)
    return [evolve(each, subnets=tuple(by_network.get(each.id, ()))) for each in networks]


async def list_networks(
    database: Database, user: str, operator: bool, since: datetime | None
) -> list[Network]:
    """Networks that a user sees: live ones, or all that changed since a moment."""
    values = {"user": user or None, "operator": operator, "since": since}
    rows = await database.read(LIST if since is None else CHANGES, values)
    networks = [from_row(row) for row in rows]
    subnets = await database.read(SUBNETS, {"networks": [each.id for each in networks]})
    return _with_subnets(networks, subnets)


async def seen_networks(
    database: Database, ids: Sequence[int], users: Sequence[str]
) -> list[tuple[Network, list[str]]]:
    """Those of some live networks that any of some users sees, with those who do."""
    rows = await database.read(SEEN, {"ids": list(ids), "users": list(users)})
    subnets = await database.read(SUBNETS, {"networks": [row[0] for row in rows]})
    networks = _with_subnets([from_row(row[:-1]) for row in rows], subnets)
    return [(each, row[-1]) for each, row in zip(networks, rows, strict=True)]


async def network_uses(database: Database) -> dict[int, tuple[int, tuple[int, ...]]]:
    """(servers on it, backends that have it) of every network, deleted ones too."""
    rows = await database.read(USES)
    return {id: (servers, tuple(backends or ())) for id, servers, backends in rows}


class NetworkStore:
    """Networks inside a transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def find_visible(self, id: int, user: str, operator: bool = False) -> Network | None:
        """The network ``id`` if a user sees it; deleted ones too."""
        values = {"id": id, "user": user or None, "operator": operator}
        return await self._one(GET, values)

    async def lock(self, id: int) -> Network | None:
        """The network ``id``, locked against other writers."""
        return await self._one(LOCK, {"id": id})

    async def lock_against_ports(self, id: int) -> Network | None:
        """The network ``id``, locked also against ports being added to it."""
        return await self._one(LOCK_AGAINST_PORTS, {"id": id})

    async def share(self, id: int) -> Network | None:
        """The network ``id``, locked against its removal while a port is added."""
        return await self._one(SHARE, {"id": id})

    async def public_ipv4(self) -> list[Network]:
        """Public networks that give IPv4 addresses to servers."""
        return await self._fill([from_row(row) for row in await self._tx.rows(PUBLIC_V4)])

    async def _one(self, sql: str, values: dict[str, Any]) -> Network | None:
        row = await self._tx.row(sql, values)
        return None if row is None else (await self._fill([from_row(row)]))[0]

    async def _fill(self, networks: list[Network]) -> list[Network]:
        rows = await self._tx.rows(SUBNETS, {"networks": [each.id for each in networks]})
        return _with_subnets(networks, rows)

    async def insert(self, values: dict[str, Any]) -> int:
        """Add a network; its id."""
        return int(await self._tx.value(INSERT, values))

    async def insert_subnet(
        self, network: int, ip_version: int, cidr: str, gateway: str | None, dhcp: bool, name: str
    ) -> int:
        """Add a subnet; raises UniqueViolation if there is one of that version."""
        values = {
            "network": network,
            "name": name,
            "ip_version": ip_version,
            "cidr": cidr,
            "gateway": gateway,
            "dhcp": dhcp,
        }
        return int(await self._tx.value(INSERT_SUBNET, values))

    async def modify(
        self,
        id: int,
        *,
        name: str | None = None,
        mac_prefix: str | None = None,
        link: str | None = None,
        destroying: bool = False,
    ) -> None:
        """Set what is given."""
        values = {"name": name, "mac_prefix": mac_prefix, "link": link, "destroying": destroying}
        await self._tx.run(SET, {**values, "id": id})

    async def mark_deleted(self, id: int) -> bool:
        """Mark a network and its subnets deleted and drop its pools; False if it was."""
        if not await self._tx.run(MARK_DELETED, {"id": id}):
            return False
        for sql in (MARK_SUBNETS_DELETED, DELETE_POOL_ITEMS, DELETE_POOLS):
            await self._tx.run(sql, {"id": id})
        return True

    async def has_ports(self, id: int) -> bool:
        """Whether any port is on the network."""
        return bool(await self._tx.value(HAS_PORTS, {"id": id}))

    async def copies(self, network: int) -> list[BackendNetwork]:
        """The network's copies on clusters, locked."""
        rows = await self._tx.rows(COPIES, {"network": network})
        return [BackendNetwork(*row) for row in rows]

    async def find_copy(self, network: int, backend: int) -> BackendNetwork | None:
        """The network's copy on a cluster, not locked."""
        row = await self._tx.row(COPY, {"network": network, "backend": backend})
        return None if row is None else BackendNetwork(*row)

    async def lock_copy(self, network: int, backend: int) -> tuple[BackendNetwork | None, bool]:
        """The network's copy on a cluster, locked, made if absent; and whether it was made."""
        values = {"network": network, "backend": backend}
        made = await self._tx.row(INSERT_COPY, values) is not None
        row = await self._tx.row(LOCK_COPY, values)
        return (None if row is None else BackendNetwork(*row)), made

    async def set_copy(
        self, network: int, backend: int, state: str, intents: Sequence[str]
    ) -> None:
        """Set a copy's state and the intents that it waits for."""
        values = {
            "network": network,
            "backend": backend,
            "state": state,
            "intents": list(intents),
        }
        await self._tx.run(SET_COPY, values)

    async def delete_copy(self, network: int, backend: int) -> None:
        """The network is not on the cluster any more."""
        await self._tx.run(DELETE_COPY, {"network": network, "backend": backend})
