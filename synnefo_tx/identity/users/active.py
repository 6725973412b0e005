"""Which users are active, and which tokens live: asked about those whose consoles are open."""

from __future__ import annotations

from collections.abc import Collection

from synnefo_tx.db.pool import Database

SELECT_ACTIVE = """
SELECT uuid::text FROM users WHERE uuid = ANY (%(users)s::uuid[]) AND is_active
"""
SELECT_TOKENS = """
SELECT id FROM api_tokens WHERE id = ANY (%(ids)s::bigint[]) AND expires > synnefo_now()
"""


class ActiveUsers:
    """Tells active users and live tokens from others."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def among(self, users: Collection[str]) -> frozenset[str]:
        """The uuids of ``users`` that are active now."""
        rows = await self._database.read(SELECT_ACTIVE, {"users": sorted(set(users))})
        return frozenset(row[0] for row in rows)

    async def tokens_among(self, ids: Collection[int]) -> frozenset[int]:
        """Those of the tokens ``ids`` that live now."""
        rows = await self._database.read(SELECT_TOKENS, {"ids": sorted(set(ids))})
        return frozenset(row[0] for row in rows)
