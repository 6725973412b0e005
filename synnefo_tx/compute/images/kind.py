"""Images in the stream of changes."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from synnefo_tx.changes.model import Seen
from synnefo_tx.compute.images import wire
from synnefo_tx.compute.images.store import seen_images
from synnefo_tx.db.pool import Database
from synnefo_tx.rest import codec


@frozen
class ImageKind:
    """Live images, as ``GET /images/{id}`` below ``base_url`` shows them."""

    database: Database
    base_url: str
    name = "image"
    has_numbers = False

    async def read(self, keys: Sequence[str], users: Sequence[str]) -> Sequence[Seen]:
        """See ``Kind``."""
        found = await seen_images(self.database, keys, users)
        return [
            Seen(each.id, codec.encode(wire.detail(each, self.base_url)), viewers)
            for each, viewers in found
        ]
