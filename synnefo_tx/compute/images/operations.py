"""Use cases of images: a source backed by a table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from synnefo_tx.compute.images.model import Image
from synnefo_tx.compute.images.store import ImageStore, list_visible
from synnefo_tx.db.pool import Database, Transaction
from synnefo_tx.faults import ItemNotFound


class Images:
    """The table-backed ``ImageSource``, and the operator's way to add an image."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_visible(self, user: str, since: datetime | None = None) -> list[Image]:
        """Live images that ``user`` may read."""
        return await list_visible(self._database, user, since)

    async def get_readable(self, tx: Transaction, id: str, user: str) -> Image:
        """The image ``id``; raises ItemNotFound unless ``user`` may read it."""
        image = await ImageStore(tx).find_readable(id, user)
        if image is None:
            raise ItemNotFound("Image not found.")
        return image

    async def show(self, id: str, user: str) -> Image:
        """As ``get_readable``, on its own."""
        async with self._database.transaction("image-show") as tx:
            return await self.get_readable(tx, id, user)

    async def register(
        self,
        id: str,
        name: str,
        owner: str,
        location: str,
        properties: Mapping[str, str],
        *,
        disk_format: str = "diskdump",
        public: bool = True,
        size_bytes: int = 0,
        checksum: str = "",
    ) -> None:
        """Add an image whose bytes are at ``location``."""
        async with self._database.transaction("image-register") as tx:
            await ImageStore(tx).insert(
                {
                    "id": id,
                    "name": name,
                    "owner": owner,
                    "location": location,
                    "disk_format": disk_format,
                    "public": public,
                    "size_bytes": size_bytes,
                    "checksum": checksum,
                    "properties": dict(properties),
                }
            )
