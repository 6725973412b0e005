"""Which users are active: asked about those whose consoles are open."""

from __future__ import annotations

from collections.abc import Collection

from synnefo_tx.db.pool import Database

SELECT_ACTIVE = """
SELECT uuid::text FROM users WHERE uuid = ANY (%(users)s::uuid[]) AND is_active
"""


class ActiveUsers:
    """Tells active users from others."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def among(self, users: Collection[str]) -> frozenset[str]:
        """The uuids of ``users`` that are active now."""
        rows = await self._database.read(SELECT_ACTIVE, {"users": sorted(set(users))})
        return frozenset(row[0] for row in rows)
