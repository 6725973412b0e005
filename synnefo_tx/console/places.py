"""The places of live consoles: how many a user and a server may have, over all processes.

A place is a row with a lease. The process that has the console renews it while it looks after its
sessions; the places of a process that died are free when their leases are over.
"""

from __future__ import annotations

from collections.abc import Sequence

from synnefo_tx.console.model import Refusal, too_many
from synnefo_tx.db.pool import Transaction
from synnefo_tx.db.sweeping import STEP_ROWS

LEASE_SECONDS = 15.0
RENEWED_SECONDS = 10.0

# Two consoles must not both take the last place; in one order for all: the user, then the server.
LOCK = """
SELECT pg_advisory_xact_lock(1349284211, hashtext(%(user)s)),
 pg_advisory_xact_lock(1349284212, hashtext(%(server)s::text))
"""
COUNT = """
SELECT count(*) FILTER (WHERE user_uuid = %(user)s),
 count(*) FILTER (WHERE server_id = %(server)s)
FROM console_sessions
WHERE (user_uuid = %(user)s OR server_id = %(server)s) AND expires > synnefo_now()
"""
TAKE = """
INSERT INTO console_sessions (session_key, user_uuid, server_id, expires)
VALUES (%(key)s, %(user)s, %(server)s, synnefo_now() + make_interval(secs => %(lease)s))
"""
# All of a process in one statement, which touches no row whose lease is mostly left; a row that was
# swept while nothing could be renewed is there again.
RENEW = """
INSERT INTO console_sessions (session_key, user_uuid, server_id, expires)
SELECT w.key, w.user_uuid, w.server, synnefo_now() + make_interval(secs => %(lease)s)
FROM unnest(%(keys)s::text[], %(users)s::uuid[], %(servers)s::bigint[])
 AS w (key, user_uuid, server)
WHERE NOT EXISTS (
    SELECT FROM console_sessions s
    WHERE s.session_key = w.key AND s.expires >= synnefo_now() + make_interval(secs => %(left)s)
)
ORDER BY w.key
ON CONFLICT (session_key) DO UPDATE SET expires = excluded.expires
"""
RELEASE = "DELETE FROM console_sessions WHERE session_key = %(key)s"
SWEEP = """
DELETE FROM console_sessions WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM console_sessions
    WHERE expires <= synnefo_now()
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
"""


class Places:
    """At most so many live consoles of one user, and of one server."""

    def __init__(self, per_user_max: int, per_server_max: int) -> None:
        self._per_user_max = per_user_max
        self._per_server_max = per_server_max

    async def take(self, tx: Transaction, key: str, user: str, server: int) -> Refusal | None:
        """Take a place for a session, or say why there is none."""
        names = {"user": user, "server": server}
        await tx.run(LOCK, names)
        of_user, of_server = await tx.row(COUNT, names) or (0, 0)
        if of_user >= self._per_user_max:
            return too_many(f"you have {self._per_user_max} consoles open already")
        if of_server >= self._per_server_max:
            return too_many(f"this server has {self._per_server_max} consoles open already")
        await tx.run(TAKE, names | {"key": key, "lease": LEASE_SECONDS})
        return None

    async def renew(self, tx: Transaction, sessions: Sequence[tuple[str, int, str]]) -> None:
        """Keep the places of (key, server, user), each written when its lease is partly over."""
        await tx.run(
            RENEW,
            {
                "keys": [key for key, _, _ in sessions],
                "servers": [server for _, server, _ in sessions],
                "users": [user for _, _, user in sessions],
                "lease": LEASE_SECONDS,
                "left": RENEWED_SECONDS,
            },
        )

    async def release(self, tx: Transaction, key: str) -> None:
        """Give a place back; harmless when it is not taken."""
        await tx.run(RELEASE, {"key": key})

    async def sweep(self, tx: Transaction) -> int:
        """Forget some of the places whose leases are over; how many."""
        return await tx.run(SWEEP, {"limit": STEP_ROWS})
