"""SQL of console tickets. All times are the database's."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.db.pool import Transaction
from synnefo_tx.db.sweeping import STEP_ROWS

# Two requests of one user must not both take the last place; the lock ends with the transaction.
LOCK_USER = "SELECT pg_advisory_xact_lock(%(lock_class)s, hashtext(%(user_uuid)s))"
LOCK_CLASS = 0x436F6E73
COUNT_UNUSED = """
SELECT count(*) FROM console_tickets
WHERE user_uuid = %(user_uuid)s AND used IS NULL AND expires > synnefo_now()
"""
INSERT = """
INSERT INTO console_tickets (ticket_hash, user_uuid, token_id, session_id, server_id, instance,
 password_sealed, expires)
VALUES (%(ticket_hash)s, %(user_uuid)s, %(token_id)s, %(session_id)s, %(server_id)s, %(instance)s,
 %(password_sealed)s, synnefo_now() + make_interval(secs => %(life_seconds)s))
"""
USE = """
UPDATE console_tickets SET used = synnefo_now()
WHERE ticket_hash = %(ticket_hash)s AND used IS NULL AND expires > synnefo_now()
RETURNING user_uuid::text, token_id, session_id, server_id, instance, password_sealed
"""
DELETE_OLD = """
DELETE FROM console_tickets WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM console_tickets
    WHERE expires <= synnefo_now()
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
"""


@frozen
class StoredTicket:
    """A ticket as it is kept; ``password_sealed`` is bound to the ticket's hash."""

    ticket_hash: bytes
    user_uuid: str
    token_id: int
    session_id: int
    server_id: int
    instance: str
    password_sealed: bytes


class TicketStore:
    """Console tickets in one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def lock_user(self, user_uuid: str) -> int:
        """How many unused tickets the user has; nobody else issues to them until the commit."""
        names = {"user_uuid": user_uuid, "lock_class": LOCK_CLASS}
        await self._tx.run(LOCK_USER, names)
        return int(await self._tx.value(COUNT_UNUSED, names))

    async def insert_ticket(self, ticket: StoredTicket, life_seconds: float) -> None:
        """Keep a ticket that expires in ``life_seconds``."""
        await self._tx.run(
            INSERT,
            {
                "ticket_hash": ticket.ticket_hash,
                "user_uuid": ticket.user_uuid,
                "token_id": ticket.token_id,
                "session_id": ticket.session_id,
                "server_id": ticket.server_id,
                "instance": ticket.instance,
                "password_sealed": ticket.password_sealed,
                "life_seconds": life_seconds,
            },
        )

    async def find_and_use(self, ticket_hash: bytes) -> StoredTicket | None:
        """Use the ticket up; None when it is unknown, used or old."""
        row = await self._tx.row(USE, {"ticket_hash": ticket_hash})
        if row is None:
            return None
        user_uuid, token_id, session_id, server_id, instance, sealed = row
        return StoredTicket(
            ticket_hash, user_uuid, token_id, session_id, server_id, instance, bytes(sealed)
        )

    async def delete_old(self) -> int:
        """Forget some expired tickets; how many those were."""
        return await self._tx.run(DELETE_OLD, {"limit": STEP_ROWS})
