"""Images, and how the rest of compute asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from attrs import frozen

from synnefo_tx.db.pool import Transaction


@frozen
class Image:
    """An image; ``location`` is what the OS installer is told to fetch."""

    id: str
    name: str
    owner: str
    location: str
    disk_format: str
    status: str
    public: bool
    size_bytes: int
    checksum: str
    properties: Mapping[str, str]
    created: datetime
    updated: datetime
    deleted: bool


class ImageSource(Protocol):
    """How compute asks for images; object storage will be another source."""

    async def get_readable(self, tx: Transaction, id: str, user: str) -> Image:
        """The image ``id``; raises ItemNotFound unless ``user`` may read it."""
        ...

    async def list_visible(self, user: str) -> list[Image]:
        """The images that ``user`` may read, by id."""
        ...
