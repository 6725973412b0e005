"""SQL of API tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from synnefo_tx.db.pool import Hot, Row, Transaction
from synnefo_tx.identity.access.model import Access
from synnefo_tx.identity.access.store import OF_TOKENS, TOKEN_LIFE, WHO, who_from_row

SELECT_ACCESS = Hot(f"""
SELECT t.id, t.created, t.expires, {TOKEN_LIFE}, {WHO} {OF_TOKENS}
WHERE t.sha256 = %(sha256)s
""")
# Nothing is inserted when the parent is gone, and no child outlives its parent.
INSERT = """
INSERT INTO api_tokens (user_uuid, name, sha256, parent, project, expires)
SELECT %(user)s, %(name)s, %(sha256)s, %(parent)s, %(project)s, least(
    coalesce(%(expires)s::timestamptz, synnefo_now() + %(hours)s * interval '1 hour'),
    (SELECT expires FROM api_tokens WHERE id = %(parent)s)
)
WHERE %(parent)s::bigint IS NULL OR EXISTS (SELECT FROM api_tokens WHERE id = %(parent)s)
RETURNING id, created, expires
"""
DELETE_ONE = "DELETE FROM api_tokens WHERE id = %(id)s AND user_uuid = %(user)s"
DELETE_ALL = "DELETE FROM api_tokens WHERE user_uuid = %(user)s"
# Those beyond the number that a user may have of one name, the oldest; two log-ins at once must not
# wait for each other.
DELETE_SURPLUS = """
DELETE FROM api_tokens WHERE id IN (
    SELECT id FROM api_tokens WHERE id IN (
        SELECT id FROM api_tokens WHERE user_uuid = %(user)s AND name = %(name)s
        ORDER BY id DESC OFFSET %(max)s
    )
    FOR UPDATE SKIP LOCKED
)
"""
DELETE_EXPIRED = """
DELETE FROM api_tokens WHERE id IN (
    SELECT id FROM api_tokens WHERE expires <= synnefo_now() LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
"""


def access_from_row(row: Row) -> tuple[Access, float, bool]:
    """What the token stands for; its life in seconds; whether its user is active."""
    id_, created, expires, life_seconds = row[:4]
    who = who_from_row(row[4:], token_id=id_)
    access = Access(who.caller, who.username, created, expires, who.default_project_name)
    return access, life_seconds, who.is_active


class TokenStore:
    """API tokens within one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def insert(
        self,
        user: str,
        name: str,
        sha256: bytes,
        *,
        hours: int,
        expires: datetime | None,
        parent: int | None,
        project: str | None,
    ) -> tuple[int, datetime, datetime] | None:
        """Store a token; its id, creation and expiry, or None when its parent is gone."""
        parameters: dict[str, Any] = {
            "user": user,
            "name": name,
            "sha256": sha256,
            "hours": hours,
            "expires": expires,
            "parent": parent,
            "project": project,
        }
        row = await self._tx.row(INSERT, parameters)
        return None if row is None else (row[0], row[1], row[2])

    async def delete(self, user: str, id: int) -> bool:
        """Delete a token of a user and what was got with it; False when there is none."""
        return bool(await self._tx.run(DELETE_ONE, {"user": user, "id": id}))

    async def delete_all(self, user: str) -> int:
        """Delete all tokens of a user; how many."""
        return await self._tx.run(DELETE_ALL, {"user": user})

    async def delete_surplus(self, user: str, name: str, kept_max: int) -> int:
        """Delete those of a user and name beyond the newest ``kept_max``, and what was got with
        them; how many without these."""
        values = {"user": user, "name": name, "max": kept_max}
        return await self._tx.run(DELETE_SURPLUS, values)

    async def delete_expired(self, limit: int) -> int:
        """Delete at most ``limit`` expired tokens; how many."""
        return await self._tx.run(DELETE_EXPIRED, {"limit": limit})
