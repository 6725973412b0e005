"""Who had which public address when (operations reference §12).

Written by the statements that make and remove ports, so in the transaction that gives an address
or gives it back; never changed.
"""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from synnefo_tx.db.pool import Database

SELECT = """
SELECT id, host(address), userid::text, server, network, action, date, reason FROM address_history
WHERE (%(address)s::inet IS NULL OR address = %(address)s)
 AND (%(server)s::bigint IS NULL OR server = %(server)s)
 AND (%(user)s::uuid IS NULL OR userid = %(user)s)
ORDER BY id
"""


@frozen
class AddressEvent:
    """An address was given to a server (``associate``) or given back (``disassociate``)."""

    id: int
    address: str
    userid: str
    server: int
    network: int
    action: str
    date: datetime
    reason: str


@frozen
class AddressHistory:
    """Reads the history of public addresses."""

    database: Database

    async def listing(
        self, address: str | None = None, server: int | None = None, user: str | None = None
    ) -> list[AddressEvent]:
        """What happened to an address, a server's or a user's addresses, or all; oldest first."""
        wanted = {"address": address, "server": server, "user": user}
        return [AddressEvent(*row) for row in await self.database.read(SELECT, wanted)]
