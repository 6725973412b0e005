"""Images, and how the rest of compute asks for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from attrs import field, frozen

from synnefo_tx.db.pool import Transaction
from synnefo_tx.faults import Conflict


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


@frozen
class SignedUrl:
    """A URL that reads an image's bytes, whole or in ranges, without further credentials, until it
    expires."""

    url: str = field(repr=False)
    expires: datetime


class BytesElsewhere(Conflict):
    """The bytes of an image are at its location, and not ours to hand out."""

    def __init__(self, image: Image) -> None:
        super().__init__(f"The bytes of image {image.id} are kept elsewhere")


class ImageSource(Protocol):
    """How compute asks for images, wherever they are kept.

    What a user may not read is as if it were not there. An id is any text that a user sent.
    """

    async def find(self, id: str, user: str) -> Image:
        """The live image ``id`` with its properties; raises ItemNotFound unless ``user`` may read
        it."""
        ...

    async def get_readable(self, tx: Transaction, id: str, user: str) -> Image:
        """As ``find``, as the transaction that will use it sees it."""
        ...

    async def horizon(self) -> datetime:
        """Since when to ask for what a listing that follows does not have."""
        ...

    async def list_visible(self, user: str, since: datetime | None = None) -> list[Image]:
        """The live images that ``user`` may read, by id; optionally those changed since a
        moment."""
        ...

    async def sign(self, image: Image, life_seconds: float) -> SignedUrl:
        """A URL for who installs the image; raises BytesElsewhere where its ``location`` is all
        that is known."""
        ...
