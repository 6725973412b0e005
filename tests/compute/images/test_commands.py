"""Images by command."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

from synnefo_tx.faults import ItemNotFound
from tests.support.cloud import IMAGE, CloudCommandTestCase


class ImageTests(CloudCommandTestCase):
    async def register(self, *options: str) -> str:
        location = ("--location", "pithosmap://b/2")
        rows = await self.records("image-register", "--name", "Mine", *location, *options)
        return rows[0]["id"]

    async def test_public(self) -> None:
        """An image with its properties is there for everybody, and servers are built of it."""
        id = await self.register("--property", "OSFAMILY=linux", "--property", "x=a=b,c")
        image = await self.app.compute.images.find(id, self.user.user)
        self.assertEqual(dict(image.properties), {"OSFAMILY": "linux", "x": "a=b,c"})
        await self.built(image=id)
        rows = await self.records("image-list", "-o", "id,name,user.uuid,public,properties")
        self.assertEqual(
            rows[1],
            {"id": id, "name": "Mine", "user.uuid": "system", "public": "True",
             "properties": "OSFAMILY=linux, x=a=b,c"},
        )  # fmt: skip

    async def test_private(self) -> None:
        """A private image is its owner's alone."""
        await self.refusal("image-register", "--name", "x", "--location", "y", "--private")
        stranger = await self.make_caller("stranger@example.org")
        id = await self.register("--private", "--owner", "user@example.org", "--size", "7")
        self.assertEqual((await self.app.compute.images.find(id, self.user.user)).size_bytes, 7)
        with self.assertRaises(ItemNotFound):
            await self.app.compute.images.find(id, stranger.user)
        for options, expected in (
            (("--public",), [IMAGE]),
            (("--user", "user@example.org"), [id]),
            (("--deleted",), []),
            ((), [IMAGE, id]),
        ):
            rows = await self.records("image-list", *options)
            self.assertEqual([row["id"] for row in rows], expected)

    async def test_wrong(self) -> None:
        """A taken id, bad names, sizes and properties make no image."""
        good = {"--name": "x", "--location": "y"}
        for changes in (
            {"--id": IMAGE}, {"--name": ""}, {"--name": "a\x00"}, {"--location": " "},
            {"--size": "-1"}, {"--property": "a b=c"}, {"--property": "a=" + "x" * 257},
            {"--owner": "nobody@example.org"},
        ):  # fmt: skip
            pieces = [piece for pair in {**good, **changes}.items() for piece in pair]
            await self.refusal("image-register", *pieces)
        for option, text in (("--id", "x"), ("--property", "x"), ("--disk-format", "iso")):
            with redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
                await self.register(option, text)
        self.assertEqual(len(await self.records("image-list")), 1)
