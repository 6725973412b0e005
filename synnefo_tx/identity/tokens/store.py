"""SQL of API tokens."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from synnefo_tx.caller import ADMIN_ROLE, Caller
from synnefo_tx.db.pool import Hot, Row, Transaction
from synnefo_tx.identity.tokens.model import Access

SELECT_ACCESS = Hot("""
SELECT t.id, t.created, t.expires, extract(epoch FROM t.expires - synnefo_now())::float8,
    u.is_active, u.uuid, u.email, u.username, u.first_name, u.last_name, u.is_admin, u.groups,
    scope.uuid::text, scope.realname,
    ARRAY (
        SELECT p.uuid::text FROM project_members m JOIN projects p ON p.uuid = m.project
        WHERE m.member = u.uuid AND m.state IN ('accepted', 'leave_requested')
        AND p.state = 'active' ORDER BY p.id
    )
FROM api_tokens t JOIN users u ON u.uuid = t.user_uuid
LEFT JOIN projects scope ON scope.uuid = coalesce(t.project, u.default_project)
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
DELETE_EXPIRED = """
DELETE FROM api_tokens WHERE id IN (
    SELECT id FROM api_tokens WHERE expires <= synnefo_now() LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
"""


def access_from_row(row: Row) -> tuple[Access, float, bool]:
    """What the token stands for; its life in seconds; whether its user is active."""
    id_, created, expires, life_seconds, active, uuid, email, username, first, last = row[:10]
    admin, groups, default_project, project_name, projects = row[10:]
    caller = Caller(
        user=uuid,
        email=email,
        name=f"{first} {last}".strip(),
        roles=frozenset([*groups, *([ADMIN_ROLE] if admin else [])]),
        projects=tuple(projects),
        default_project=default_project or "",
        token_id=id_,
    )
    access = Access(caller, username, created, expires, project_name or "")
    return access, life_seconds, active


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

    async def delete_expired(self, limit: int) -> int:
        """Delete at most ``limit`` expired tokens; how many."""
        return await self._tx.run(DELETE_EXPIRED, {"limit": limit})
