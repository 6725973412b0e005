"""Commands about images (operations reference §2.4)."""

from __future__ import annotations

import argparse
import uuid
from collections.abc import Sequence

from synnefo_tx.cli.command import Command, Options, pair
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand, itself
from synnefo_tx.cli.output import Output
from synnefo_tx.compute.images.model import Image
from synnefo_tx.compute.images.rules import DISK_FORMATS
from synnefo_tx.faults import BadRequest

SYSTEM_OWNER = "system"


def identifier(text: str) -> str:
    """A UUID in its one spelling; for argparse."""
    return str(uuid.UUID(text))


class ImageRegister(Command):
    """Make an image of what lies at a location that the clusters' OS definition can fetch."""

    name = "image-register"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        parser.add_argument("--name", required=True)
        parser.add_argument("--location", required=True, help="what the OS definition fetches")
        parser.add_argument(
            "--property", action="append", default=[], type=pair, metavar="KEY=VALUE",
            help="for the OS definition, such as osfamily=linux; may be given several times",
        )  # fmt: skip
        parser.add_argument("--size", type=int, default=0, metavar="BYTES", help="size on disk")
        parser.add_argument("--disk-format", choices=DISK_FORMATS, default=DISK_FORMATS[0])
        parser.add_argument("--checksum", default="")
        parser.add_argument("--owner", help="user (uuid or e-mail); without it the system")
        parser.add_argument("--private", action="store_true", help="only for its owner")
        parser.add_argument("--id", type=identifier, metavar="UUID", help="else one is made up")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Make it and say its id."""
        if options.private and not options.owner:
            raise BadRequest("A private image needs an --owner")
        owner = SYSTEM_OWNER
        if options.owner:
            owner = (await app.identity.users.get(options.owner)).uuid
        id = await app.compute.images.register(
            options.id,
            options.name,
            owner,
            options.location,
            dict(options.property),
            disk_format=options.disk_format,
            public=not options.private,
            size_bytes=options.size,
            checksum=options.checksum,
        )
        out.record([("id", id)])


class ImageList(ListCommand):
    """List images."""

    name = "image-list"
    stored = {"": (Image, itself)}
    user_field = "owner"
    deleted_field = "deleted"
    fields = {
        "id": Field(lambda image: image.id, "the image's uuid"),
        "name": Field(lambda image: image.name, "its name"),
        "user.uuid": Field(lambda image: image.owner, "its owner"),
        "public": Field(lambda image: image.public, "whether everybody may use it"),
        "status": Field(lambda image: image.status, "its state"),
        "location": Field(lambda image: image.location, "what the OS definition fetches"),
        "disk_format": Field(lambda image: image.disk_format, "how its bytes are packed"),
        "size": Field(lambda image: image.size_bytes, "bytes on disk"),
        "properties": Field(
            lambda image: [f"{key}={value}" for key, value in sorted(image.properties.items())],
            "for the OS definition",
        ),
        "created": Field(lambda image: image.created, "when it was made"),
    }
    default_fields = ("id", "name", "user.uuid", "public")

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        parser.add_argument("--public", action="store_true", help="only what everybody may use")

    async def rows(self, app: Context, options: Options) -> Sequence[Image]:
        """Every image, or the public ones."""
        images = await app.compute.images.list_all()
        return [each for each in images if each.public or not options.public]
