"""Commands about flavors and volume types (operations reference §2.2, §2.4)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from attrs import frozen

from synnefo_tx.cli.command import Command, Options, boolean, numbers
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand
from synnefo_tx.cli.output import Output
from synnefo_tx.compute.flavors.model import Flavor, VolumeType, VolumeTypeUse


class FlavorCreate(Command):
    """Make flavors of all combinations of CPUs, RAM, disk and volume types.

    RAM is rounded up to a multiple of 4 MiB. Combinations that exist are left as they are.
    """

    name = "flavor-create"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        for name, metavar, text in (
            ("cpus", "CPU[,CPU…]", "virtual CPUs"),
            ("rams", "RAM[,RAM…]", "MiB of RAM"),
            ("disks", "DISK[,DISK…]", "GiB of the root disk"),
            ("volume_types", "VOLUME-TYPE[,VOLUME-TYPE…]", "numbers, see volume-type-list"),
        ):
            parser.add_argument(name, metavar=metavar, type=numbers, help=text)
        parser.add_argument("-n", "--dry-run", action="store_true", help="list them, make none")
        parser.add_argument("--public", type=boolean, default=True, metavar="True|False")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Make and list those that are missing; name those that exist."""
        flavors = app.compute.flavors
        wanted = (options.cpus, options.rams, options.disks, options.volume_types)
        sizes = await flavors.sizes(*wanted)
        known = {each.size: each for each in await flavors.listing(everything=True)}
        for size in sizes:
            if size in known:
                deleted = ", deleted" if known[size].deleted else ""
                out.note(f"{size.name} exists: flavor {known[size].id}{deleted}")
        if options.dry_run:
            missing = [size for size in sizes if size not in known]
            out.table(("name",), [(size.name,) for size in missing])
            return
        made = set(await flavors.create(*wanted, public=options.public))
        rows = [each for each in await flavors.listing(everything=True) if each.id in made]
        out.table(("id", "name"), [(each.id, each.name) for each in rows])


@frozen
class FlavorRow:
    """A flavor, and how many live servers have it."""

    flavor: Flavor
    servers: int

    @property
    def deleted(self) -> bool:
        """Whether the flavor is deleted."""
        return self.flavor.deleted


class FlavorList(ListCommand):
    """List flavors."""

    name = "flavor-list"
    stored = {
        "": (Flavor, lambda row: row.flavor),
        "volume_type": (VolumeType, lambda row: row.flavor.volume_type),
    }
    deleted_field = "deleted"
    fields = {
        "id": Field(lambda row: row.flavor.id, "number of the flavor"),
        "name": Field(lambda row: row.flavor.name, "its sizes in a word"),
        "cpu": Field(lambda row: row.flavor.cpu, "virtual CPUs"),
        "ram": Field(lambda row: row.flavor.ram_mib, "MiB of RAM"),
        "disk": Field(lambda row: row.flavor.disk_gib, "GiB of the root disk"),
        "template": Field(lambda row: row.flavor.volume_type.disk_template, "kind of disk"),
        "volume_type": Field(lambda row: row.flavor.volume_type.id, "number of its volume type"),
        "allow_create": Field(lambda row: row.flavor.allow_create, "whether servers may get it"),
        "public": Field(lambda row: row.flavor.public, "whether projects need no grant for it"),
        "vms": Field(lambda row: row.servers, "live servers"),
        "deleted": Field(lambda row: row.deleted, "whether it is deleted"),
    }
    default_fields = (
        "id",
        "name",
        "cpu",
        "ram",
        "disk",
        "template",
        "volume_type",
        "allow_create",
        "public",
        "vms",
    )

    async def rows(self, app: Context, options: Options) -> Sequence[FlavorRow]:
        """Every flavor."""
        servers = await app.compute.flavors.count_servers()
        flavors = await app.compute.flavors.listing(everything=True)
        return [FlavorRow(each, servers.get(each.id, 0)) for each in flavors]


class VolumeTypeCreate(Command):
    """Make a volume type, of which flavors and volumes are."""

    name = "volume-type-create"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        parser.add_argument("--name", required=True)
        parser.add_argument(
            "--disk-template", required=True, help="Ganeti's, or ext_PROVIDER for external storage"
        )

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Make it and say its number."""
        id = await app.compute.flavors.create_type(options.name, options.disk_template)
        out.record([("id", id), ("name", options.name), ("disk_template", options.disk_template)])


class VolumeTypeList(ListCommand):
    """List volume types."""

    name = "volume-type-list"
    stored = {"": (VolumeType, lambda row: row.volume_type)}
    fields = {
        "id": Field(lambda row: row.volume_type.id, "number of the volume type"),
        "name": Field(lambda row: row.volume_type.name, "its name"),
        "disk_template": Field(lambda row: row.volume_type.disk_template, "kind of disk"),
        "flavors": Field(lambda row: row.flavors, "live flavors of it"),
        "volumes": Field(lambda row: row.volumes, "live volumes of it"),
        "deleted": Field(lambda row: row.volume_type.deleted, "whether it is deleted"),
    }
    default_fields = ("id", "name", "disk_template", "flavors", "volumes", "deleted")

    async def rows(self, app: Context, options: Options) -> Sequence[VolumeTypeUse]:
        """Every volume type."""
        return await app.compute.flavors.type_uses()
