"""Commands about subnets (operations reference §2.3)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from attrs import frozen

from synnefo_tx.cli.command import Command, Options
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand
from synnefo_tx.cli.output import Output
from synnefo_tx.compute.networks.model import Network, Subnet
from synnefo_tx.compute.pools.model import PoolMap
from synnefo_tx.compute.pools.rules import address_at, map_lines
from synnefo_tx.faults import BadRequest, ItemNotFound

ADDRESSES_PER_LINE = 64


@frozen
class SubnetRow:
    """A subnet and its network."""

    subnet: Subnet
    network: Network

    @property
    def userid(self) -> str | None:
        """The network's owner."""
        return self.network.userid

    @property
    def deleted(self) -> bool:
        """Whether the subnet is deleted."""
        return self.subnet.deleted


async def _all(app: Context) -> list[SubnetRow]:
    uses = await app.compute.network_administration.list_all()
    rows = [SubnetRow(subnet, use.network) for use in uses for subnet in use.network.subnets]
    return sorted(rows, key=lambda row: row.subnet.id)


class SubnetList(ListCommand):
    """List subnets."""

    name = "subnet-list"
    user_field = "userid"
    deleted_field = "deleted"
    stored = {
        "": (Subnet, lambda row: row.subnet),
        "network": (Network, lambda row: row.network),
    }
    fields = {
        "id": Field(lambda row: row.subnet.id, "number of the subnet"),
        "network": Field(lambda row: row.network.id, "number of its network"),
        "name": Field(lambda row: row.subnet.name, "its name"),
        "user.uuid": Field(lambda row: row.network.userid, "its network's owner"),
        "cidr": Field(lambda row: row.subnet.cidr, "its addresses"),
        "ipversion": Field(lambda row: row.subnet.ip_version, "4 or 6"),
        "gateway": Field(lambda row: row.subnet.gateway, "its gateway"),
        "dhcp": Field(lambda row: row.subnet.dhcp, "whether nodes answer DHCP there"),
        "public": Field(lambda row: row.network.public, "whether nobody owns its network"),
        "deleted": Field(lambda row: row.subnet.deleted, "whether it is deleted"),
    }
    default_fields = (
        "id",
        "network",
        "name",
        "user.uuid",
        "cidr",
        "ipversion",
        "gateway",
        "dhcp",
        "public",
    )

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        version = parser.add_mutually_exclusive_group()
        version.add_argument("--ipv4", action="store_true", help="only those of IPv4")
        version.add_argument("--ipv6", action="store_true", help="only those of IPv6")
        parser.add_argument("--dhcp", action="store_true", help="only those with DHCP")
        parser.add_argument("--public", action="store_true", help="only those of public networks")

    async def rows(self, app: Context, options: Options) -> Sequence[SubnetRow]:
        """The subnets that are asked for."""
        return [
            row
            for row in await _all(app)
            if (row.subnet.ip_version == 4 or not options.ipv4)
            and (row.subnet.ip_version == 6 or not options.ipv6)
            and (row.subnet.dhcp or not options.dhcp)
            and (row.network.public or not options.public)
        ]


class SubnetInspect(Command):
    """Show a subnet and its pools: which addresses are used (X), and which nobody gets."""

    name = "subnet-inspect"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments."""
        parser.add_argument("subnet", metavar="ID")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Show what is stored of it."""
        text = options.subnet
        if not (text.isascii() and text.isdigit()):
            raise BadRequest(f"{text!r} is no subnet: give its number")
        found = [row for row in await _all(app) if str(row.subnet.id) == text.lstrip("0")]
        if not found:
            raise ItemNotFound("Subnet not found.")
        fields = SubnetList.fields
        out.record([(name, fields[name].value(found[0])) for name in fields], title="Subnet")
        maps = await app.compute.pools.maps_of_subnet(found[0].subnet.id)
        out.table(
            ("pool", "first", "last", "size", "available"),
            [_pool(each) for each in maps],
            title="Pools",
        )
        for each in maps:
            for title, taken in (("Available", each.taken), ("Reserved", each.reserved)):
                lines = map_lines(each.pool.size, taken, ADDRESSES_PER_LINE)
                rows = [
                    (address_at(each.pool.base, at * ADDRESSES_PER_LINE), line)
                    for at, line in enumerate(lines)
                ]
                out.table(("from", "map"), rows, title=f"{title}, pool {each.pool.id}")


def _pool(each: PoolMap) -> tuple[object, ...]:
    pool = each.pool
    last = address_at(pool.base, pool.size - 1)
    return (pool.id, pool.base, last, pool.size, pool.size - len(each.taken))
