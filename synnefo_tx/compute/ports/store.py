"""SQL of ports."""

from __future__ import annotations

from collections.abc import Sequence

from synnefo_tx.compute.ports.model import Port
from synnefo_tx.compute.visibility import VIEWER, VIEWERS, sees_port
from synnefo_tx.db.pool import Database, Hot, Row, Transaction

COLUMNS = """id, name, userid::text, network, server, index, mac, host(address), subnet, state,
 created, updated"""
NEXT_ID = Hot("SELECT nextval(pg_get_serial_sequence('ports', 'id'))")
INSERT = Hot("""
WITH made AS (
    INSERT INTO ports (id, userid, network, server, index, mac, address, subnet, state, created,
     updated)
    VALUES (%(id)s, %(userid)s, %(network)s, %(server)s, %(index)s, %(mac)s, %(address)s,
     %(subnet)s, 'BUILD', synnefo_now(), synnefo_now())
    RETURNING address, userid, server, network
)
INSERT INTO address_history (address, userid, server, network, action, reason)
SELECT made.*, 'associate', 'server created' FROM made JOIN networks n ON n.id = made.network
WHERE n.public AND made.address IS NOT NULL
""")
OF_SERVER = Hot(f"SELECT {COLUMNS} FROM ports WHERE server = %(server)s ORDER BY index")
VISIBLE = f"""
SELECT {COLUMNS} FROM ports p WHERE ({sees_port("p", "%(user)s")} OR %(operator)s)
 AND (%(id)s::bigint IS NULL OR id = %(id)s) ORDER BY id
"""
SEEN = f"""
SELECT {COLUMNS}, {VIEWER}::text FROM ports p JOIN {VIEWERS} ON {sees_port("p", VIEWER)}
WHERE id = ANY (%(ids)s) ORDER BY id
"""
SET_STATE = Hot("""
UPDATE ports SET state = %(state)s, updated = synnefo_now()
WHERE server = %(server)s AND state <> %(state)s
""")
DELETE_OF_SERVER = Hot("""
WITH gone AS (
    DELETE FROM ports WHERE server = %(server)s RETURNING id, address, userid, server, network
), told AS (
    INSERT INTO address_history (address, userid, server, network, action, reason)
    SELECT gone.address, gone.userid, gone.server, gone.network, 'disassociate', 'server removed'
    FROM gone JOIN networks n ON n.id = gone.network
    WHERE n.public AND gone.address IS NOT NULL ORDER BY gone.id
)
SELECT gone.id, n.public FROM gone JOIN networks n ON n.id = gone.network ORDER BY gone.id
""")


def from_row(row: Row) -> Port:
    """A port from the columns of COLUMNS."""
    return Port(*row)


async def list_ports(
    database: Database, user: str, operator: bool, id: int | None = None
) -> list[Port]:
    """Ports of a user's servers, or all for an operator; one of them if it is named."""
    wanted = {"user": user or None, "operator": operator, "id": id}
    rows = await database.read(VISIBLE, wanted)
    return [from_row(row) for row in rows]


async def seen_ports(
    database: Database, ids: Sequence[int], users: Sequence[str]
) -> list[tuple[Port, list[str]]]:
    """Those of some ports that any of some users sees, with who does."""
    rows = await database.read(SEEN, {"ids": list(ids), "users": list(users)})
    return [(from_row(row[:-1]), [row[-1]]) for row in rows]


class PortStore:
    """Ports inside a transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def next_id(self) -> int:
        """The number of the next port: its MAC and its hold on an address bear it."""
        return int(await self._tx.value(NEXT_ID))

    async def insert(
        self,
        id: int,
        userid: str,
        network: int,
        server: int,
        index: int,
        mac: str,
        address: str | None,
        subnet: int | None,
    ) -> None:
        """Add a port in state BUILD; a public address is noted as its server's."""
        values = {
            "id": id,
            "userid": userid,
            "network": network,
            "server": server,
            "index": index,
            "mac": mac,
            "address": address,
            "subnet": subnet,
        }
        await self._tx.run(INSERT, values)

    async def of_server(self, server: int) -> list[Port]:
        """A server's ports in their order."""
        rows = await self._tx.rows(OF_SERVER, {"server": server})
        return [from_row(row) for row in rows]

    async def set_state(self, server: int, state: str) -> None:
        """Set the state of all ports of a server."""
        await self._tx.run(SET_STATE, {"server": server, "state": state})

    async def delete_of_server(self, server: int) -> Sequence[tuple[int, bool]]:
        """Remove a server's ports and note that their public addresses were given back; (id,
        whether on a public network) of each."""
        rows = await self._tx.rows(DELETE_OF_SERVER, {"server": server})
        return [(row[0], row[1]) for row in rows]
