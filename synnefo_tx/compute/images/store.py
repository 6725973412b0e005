"""SQL of the image table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from synnefo_tx.compute.images.model import Image
from synnefo_tx.compute.visibility import VIEWER, VIEWERS, sees_image
from synnefo_tx.db.pool import Database, Hot, Json, Row, Transaction

COLUMNS = """id::text, name, owner, location, disk_format, status, public, size_bytes, checksum,
 properties, created, updated, deleted"""
SEES = sees_image("i", "%(user)s")
VISIBLE = f"""
SELECT {COLUMNS} FROM images i WHERE NOT deleted AND {SEES}
 AND updated >= coalesce(%(since)s, '-infinity'::timestamptz) ORDER BY id
"""
LIST_ALL = f"SELECT {COLUMNS} FROM images ORDER BY created, id"
GET = Hot(f"""
SELECT {COLUMNS} FROM images i WHERE id::text = %(id)s AND NOT deleted AND {SEES}
""")
SEEN = f"""
SELECT {COLUMNS}, array_agg({VIEWER}::text) FROM images i
JOIN {VIEWERS} ON {sees_image("i", VIEWER)}
WHERE id = ANY (%(ids)s::uuid[]) AND NOT deleted GROUP BY id
"""
INSERT = """
INSERT INTO images (id, name, owner, location, disk_format, public, size_bytes, checksum,
 properties, created, updated)
VALUES (%(id)s, %(name)s, %(owner)s, %(location)s, %(disk_format)s, %(public)s, %(size_bytes)s,
 %(checksum)s, %(properties)s, synnefo_now(), synnefo_now())
"""


def from_row(row: Row) -> Image:
    """An image from the columns of COLUMNS."""
    return Image(*row)


async def list_visible(database: Database, user: str, since: datetime | None = None) -> list[Image]:
    """Live images that a user may read, optionally only those changed since a moment."""
    rows = await database.read(VISIBLE, {"user": user, "since": since})
    return [from_row(row) for row in rows]


async def seen_images(
    database: Database, ids: Sequence[str], users: Sequence[str]
) -> list[tuple[Image, list[str]]]:
    """Those of some live images that any of some users may read, with those who may."""
    rows = await database.read(SEEN, {"ids": list(ids), "users": list(users)})
    return [(from_row(row[:-1]), row[-1]) for row in rows]


async def list_images(database: Database) -> list[Image]:
    """Every image, deleted ones too, in the order they were made."""
    return [from_row(row) for row in await database.read(LIST_ALL)]


class ImageStore:
    """Images inside a transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def find_readable(self, id: str, user: str) -> Image | None:
        """The live image ``id`` if ``user`` may read it."""
        row = await self._tx.row(GET, {"id": id, "user": user})
        return None if row is None else from_row(row)

    async def insert(self, values: dict[str, Any]) -> None:
        """Add an image; raises UniqueViolation when there is one of that id."""
        await self._tx.run(INSERT, {**values, "properties": Json(values["properties"])})
