"""Use cases of images: a source backed by a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from synnefo_tx.compute.images.model import BytesElsewhere, Image, SignedUrl
from synnefo_tx.compute.images.rules import DISK_FORMATS, check_image
from synnefo_tx.compute.images.store import ImageStore, list_images, list_visible
from synnefo_tx.db.horizon import commit_horizon
from synnefo_tx.db.pool import Database, Transaction, UniqueViolation
from synnefo_tx.faults import Conflict, ItemNotFound
from synnefo_tx.journal.record import record


class Images:
    """The table-backed ``ImageSource``, and the operator's way to add an image."""

    def __init__(self, database: Database, new_id: Callable[[], str]) -> None:
        self._database = database
        self._new_id = new_id

    async def horizon(self) -> datetime:
        """Since when to ask for what a listing that follows does not have."""
        return await commit_horizon(self._database)

    async def list_visible(self, user: str, since: datetime | None = None) -> list[Image]:
        """Live images that ``user`` may read."""
        return await list_visible(self._database, user, since)

    async def get_readable(self, tx: Transaction, id: str, user: str) -> Image:
        """The image ``id``; raises ItemNotFound unless ``user`` may read it."""
        image = await ImageStore(tx).find_readable(id, user)
        if image is None:
            raise ItemNotFound("Image not found.")
        return image

    async def find(self, id: str, user: str) -> Image:
        """As ``get_readable``, on its own."""
        async with self._database.transaction("image-show") as tx:
            return await self.get_readable(tx, id, user)

    async def sign(self, image: Image, life_seconds: float) -> SignedUrl:
        """Raises BytesElsewhere: the table knows where bytes are, and has none."""
        raise BytesElsewhere(image)

    async def list_all(self) -> list[Image]:
        """Every image, deleted ones too."""
        return await list_images(self._database)

    async def register(
        self,
        id: str | None,
        name: str,
        owner: str,
        location: str,
        properties: Mapping[str, str],
        *,
        disk_format: str = DISK_FORMATS[0],
        public: bool = True,
        size_bytes: int = 0,
        checksum: str = "",
    ) -> str:
        """Add an image whose bytes are at ``location``; its id, made up if none is given.

        Raises BadRequest, or Conflict when there is one of that id.
        """
        check_image(name, location, disk_format, size_bytes, properties)
        id = id or self._new_id()
        values = {
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
        try:
            async with self._database.transaction("image-register") as tx:
                await ImageStore(tx).insert(values)
                await record(tx, "compute:image:register", "image", id, owner=owner, details=name)
        except UniqueViolation:
            raise Conflict(f"there is an image {id} already") from None
        return id
