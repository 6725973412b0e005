"""The images of the table, as a source; and a source of another kind in its place."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from attrs import evolve
from twisted.trial.unittest import TestCase

from synnefo_tx.caller import Caller
from synnefo_tx.compute.images.model import BytesElsewhere, Image, SignedUrl
from synnefo_tx.compute.images.operations import Images
from synnefo_tx.compute.images.routes import ImageRoutes
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.settings import Compute
from tests.compute.images.source_suite import ImageSourceSuite
from tests.support.database import DatabaseTestCase
from tests.support.http import HttpTestCase


class TableTests(ImageSourceSuite, DatabaseTestCase):
    """The suite on the table."""

    async def setUp(self) -> None:
        await super().setUp()
        self.source = Images(self.database, lambda: str(uuid.uuid4()))

    async def register(self, name, owner, *, public, properties) -> str:
        return await self.source.register(
            None, name, owner, "https://images.example/1", properties, public=public
        )

    async def remove(self, id) -> None:
        async with self.database.transaction("remove") as tx:
            await tx.run("UPDATE images SET deleted = true WHERE id = %(id)s", {"id": id})

    async def test_no_bytes(self) -> None:
        """The table has no bytes to hand out, and says so as a fault that a caller may see."""
        id = await self.register("image", "a", public=True, properties={})
        with self.assertRaises(BytesElsewhere) as caught:
            await self.source.sign(await self.source.find(id, "a"), 60)
        self.assertEqual(caught.exception.status, 409)


class ListSource:
    """Images in a list."""

    def __init__(self) -> None:
        self.images: dict[str, Image] = {}

    async def find(self, id: str, user: str) -> Image:
        image = self.images.get(id)
        if image is None or image.deleted or not (image.public or image.owner == user):
            raise ItemNotFound("Image not found.")
        return image

    async def get_readable(self, tx, id: str, user: str) -> Image:
        return await self.find(id, user)

    async def horizon(self) -> datetime:
        return datetime.now(UTC)

    async def list_visible(self, user: str, since: datetime | None = None) -> list[Image]:
        return [
            image
            for _, image in sorted(self.images.items())
            if not image.deleted
            and (image.public or image.owner == user)
            and (since is None or image.updated >= since)
        ]

    async def sign(self, image: Image, life_seconds: float) -> SignedUrl:
        url = f"https://images.example/{image.id}?life={life_seconds}"
        return SignedUrl(url, datetime.now(UTC))


class NoDatabase:
    """Transactions of a source that needs none."""

    @asynccontextmanager
    async def transaction(self, name: str) -> AsyncIterator[None]:
        yield None


class ListTests(ImageSourceSuite, TestCase):
    """The suite on a list: it asks for nothing that only a table has."""

    def setUp(self) -> None:
        self.source, self.database = ListSource(), NoDatabase()

    async def register(self, name, owner, *, public, properties) -> str:
        id, now = str(uuid.uuid4()), datetime.now(UTC)
        self.source.images[id] = Image(
            id, name, owner, "x", "diskdump", "AVAILABLE", public, 0, "", properties, now, now,
            False,
        )  # fmt: skip
        return id

    async def remove(self, id) -> None:
        self.source.images[id] = evolve(self.source.images[id], deleted=True)


class RouteTests(HttpTestCase):
    async def test_any_source(self) -> None:
        """The API shows what a source has, whichever it is."""
        source, now = ListSource(), datetime.now(UTC)
        source.images["1"] = Image(
            "1", "One", "a", "x", "diskdump", "AVAILABLE", True, 0, "", {"k": "v"}, now, now, False
        )  # fmt: skip
        self.serve("/compute/v2.0", ImageRoutes(source, Compute(), "http://x/compute/v2.0"))
        self.authenticate = self.anybody
        answer = await self.request("GET", "/compute/v2.0/images/1", token="t")
        self.assertEqual(answer.json["image"]["metadata"], {"k": "v"})
        answer = await self.request("GET", "/compute/v2.0/images/2", token="t")
        self.assertEqual(answer.status, 404)

    async def anybody(self, token: str) -> Caller:
        return Caller(user="a")
