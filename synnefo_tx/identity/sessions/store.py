"""SQL of sessions."""

from __future__ import annotations

from synnefo_tx.db.pool import Hot, Row, Transaction
from synnefo_tx.identity.access.store import OF_SESSIONS, SESSION_AGES, WHO
from synnefo_tx.identity.sessions.model import Session, Visitor

SELECT_ACCESS = Hot(f"""
SELECT s.id, s.created, synnefo_now(), {SESSION_AGES}, {WHO} {OF_SESSIONS}
WHERE s.sha256 = %(sha256)s
""")
SELECT = "SELECT id, user_uuid::text, created, last_used, address, browser FROM sessions "
SELECT_ALL = SELECT + "ORDER BY last_used DESC, id DESC"
SELECT_LIVE = f"""{SELECT}
WHERE user_uuid = %(user)s AND last_used > synnefo_now() - %(idle)s * interval '1 second'
AND created > synnefo_now() - %(life)s * interval '1 second'
ORDER BY last_used DESC, id DESC
"""
INSERT = """
INSERT INTO sessions (user_uuid, sha256, address, browser)
VALUES (%(user)s, %(sha256)s, %(address)s, %(browser)s)
"""
# Those beyond the number that a user may have, the least used first.
DELETE_SURPLUS = """
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions WHERE user_uuid = %(user)s
    ORDER BY last_used DESC, id DESC OFFSET %(max)s
)
"""
TOUCH = """
UPDATE sessions SET last_used = synnefo_now()
WHERE id = %(id)s AND last_used <= synnefo_now() - %(seconds)s * interval '1 second'
"""
DELETE_VALUE = "DELETE FROM sessions WHERE sha256 = %(sha256)s"
DELETE_ONE = """
DELETE FROM sessions WHERE id = %(id)s AND user_uuid = coalesce(%(user)s::uuid, user_uuid)
RETURNING user_uuid::text
"""
DELETE_ALL = "DELETE FROM sessions WHERE user_uuid = %(user)s"
# The longer times of those who are no staff: what ends before is refused, and goes later.
DELETE_EXPIRED = """
DELETE FROM sessions WHERE id IN (
    SELECT id FROM sessions
    WHERE last_used <= synnefo_now() - %(idle)s * interval '1 second'
    OR created <= synnefo_now() - %(life)s * interval '1 second'
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
"""


def session_from_row(row: Row) -> Session:
    """A session of the columns of SELECT."""
    return Session(*row)


class SessionStore:
    """Sessions within one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def insert(self, user: str, sha256: bytes, visitor: Visitor) -> None:
        """Store a session."""
        values = {"user": user, "sha256": sha256}
        values |= {"address": visitor.address, "browser": visitor.browser}
        await self._tx.run(INSERT, values)

    async def delete_surplus(self, user: str, kept_max: int) -> int:
        """End those beyond ``kept_max`` that were unused for longest; how many."""
        return await self._tx.run(DELETE_SURPLUS, {"user": user, "max": kept_max})

    async def touch(self, id: int, seconds: float) -> None:
        """Note that a session is used, if that was not noted in the last ``seconds``."""
        await self._tx.run(TOUCH, {"id": id, "seconds": seconds})

    async def delete_value(self, sha256: bytes) -> None:
        """End the session of a value, if there is one."""
        await self._tx.run(DELETE_VALUE, {"sha256": sha256})

    async def delete(self, id: int, user: str | None) -> str | None:
        """End a session, of ``user`` if that is said; whose it was, None when there is none."""
        owner: str | None = await self._tx.value(DELETE_ONE, {"id": id, "user": user})
        return owner

    async def delete_all(self, user: str) -> int:
        """End all sessions of a user; how many."""
        return await self._tx.run(DELETE_ALL, {"user": user})

    async def delete_expired(self, *, idle_seconds: float, life_seconds: float, limit: int) -> int:
        """Delete at most ``limit`` sessions that have ended for everybody; how many."""
        values = {"idle": idle_seconds, "life": life_seconds, "limit": limit}
        return await self._tx.run(DELETE_EXPIRED, values)
