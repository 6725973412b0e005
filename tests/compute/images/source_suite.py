"""What compute relies on of a source of images: one suite for all there are.

A test class mixes it in, gives ``self.source`` and ``self.database``, and makes images by
``register``.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from attrs import evolve

from synnefo_tx.compute.images.model import BytesElsewhere, Image, ImageSource
from synnefo_tx.faults import ItemNotFound

ANN, BOB = "11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"
ODD_IDS = ("", "1", "x" * 5000, "a' OR '1'='1", "%", "../../etc/passwd", "é\u2028", "{}")


class ImageSourceSuite:
    """The suite; see the head of the module."""

    source: ImageSource
    database: Any

    async def register(
        self, name: str, owner: str, *, public: bool, properties: dict[str, str]
    ) -> str:
        """Make an image; its id."""
        raise TypeError("a source says how its images are made")

    async def remove(self, id: str) -> None:
        """Delete an image."""
        raise TypeError("a source says how its images are deleted")

    async def read(self, id: str, user: str) -> Image:
        """The image, read in both ways, which must agree."""
        found = await self.source.find(id, user)
        async with self.database.transaction("read") as tx:
            self.assertEqual(await self.source.get_readable(tx, id, user), found)
        return found

    async def unreadable(self, id: str, user: str) -> None:
        with self.assertRaises(ItemNotFound):
            await self.source.find(id, user)
        with self.assertRaises(ItemNotFound):
            async with self.database.transaction("read") as tx:
                await self.source.get_readable(tx, id, user)

    async def names(self, user: str, since=None) -> list[str]:
        return sorted(each.name for each in await self.source.list_visible(user, since))

    async def test_visible(self) -> None:
        """Public images are everybody's to read, private ones their owner's; what one may not read
        is as if it were not there, in lists and by id."""
        public = await self.register("public", ANN, public=True, properties={})
        private = await self.register("private", ANN, public=False, properties={})
        self.assertEqual(await self.names(ANN), ["private", "public"])
        self.assertEqual(await self.names(BOB), ["public"])
        self.assertEqual(await self.names(""), ["public"])
        for id, user in ((public, ANN), (public, BOB), (private, ANN)):
            self.assertEqual((await self.read(id, user)).id, id)
        await self.unreadable(private, BOB)
        await self.unreadable(private, "")

    async def test_ordered(self) -> None:
        """A list is in the order of ids, each once."""
        made = [await self.register(str(n), ANN, public=True, properties={}) for n in range(5)]
        listed = [each.id for each in await self.source.list_visible(ANN)]
        self.assertEqual(listed, sorted(made))

    async def test_properties(self) -> None:
        """Properties come as they were given: any script, empty ones, in any number."""
        properties = {"osfamily": "linux", "Empty": "", "x": "α=β, 'γ' \"δ\"\n", "_1": "{{7*7}}"}
        id = await self.register("image", ANN, public=True, properties=properties)
        self.assertEqual(dict((await self.read(id, BOB)).properties), properties)
        (listed,) = await self.source.list_visible(BOB)
        self.assertEqual(dict(listed.properties), properties)

    async def test_odd_ids(self) -> None:
        """Whatever is sent as an id is no image, and no error of ours."""
        for id in ODD_IDS:
            await self.unreadable(id, ANN)

    async def test_deleted(self) -> None:
        """A deleted image is nobody's to read any more."""
        id = await self.register("image", ANN, public=True, properties={})
        await self.remove(id)
        self.assertEqual(await self.names(ANN), [])
        await self.unreadable(id, ANN)

    async def test_since(self) -> None:
        """What did not change since a moment is left out."""
        id = await self.register("image", ANN, public=True, properties={})
        updated = (await self.read(id, ANN)).updated
        self.assertEqual(await self.names(ANN, updated), ["image"])
        self.assertEqual(await self.names(ANN, updated + timedelta(seconds=1)), [])

    async def test_horizon(self) -> None:
        """Who asks again with the horizon of before a change is told of the change."""
        horizon = await self.source.horizon()
        await self.register("image", ANN, public=True, properties={})
        self.assertEqual(await self.names(ANN, horizon), ["image"])

    async def test_signed(self) -> None:
        """A URL for an image's bytes lasts as long as it is asked to, another image's is another;
        where the bytes are elsewhere the source says so."""
        id = await self.register("image", ANN, public=True, properties={})
        image = await self.read(id, ANN)
        try:
            signed = await self.source.sign(image, 60)
        except BytesElsewhere as fault:
            self.assertIn(id, str(fault))
            self.assertTrue(image.location)
            return
        other = await self.source.sign(evolve(image, id=id[::-1]), 60)
        self.assertNotEqual(signed.url, other.url)
        self.assertNotIn(signed.url, repr(signed))
