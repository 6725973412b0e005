"""Commands about networks (operations reference §2.3)."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any

from synnefo_tx.caller import OPERATOR
from synnefo_tx.cli.command import (
    Command,
    Options,
    Terminal,
    ask,
    boolean,
    confirmation_option,
    each_of,
    number,
)
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand
from synnefo_tx.cli.output import Output
from synnefo_tx.compute.networks.model import TYPES, Network, NetworkDraft, NetworkUse, Subnet
from synnefo_tx.faults import BadRequest


class NetworkCreate(Command):
    """Make a public network, or one for a user.

    A public network is brought to every cluster that is not offline; a user's comes to a cluster
    with the first server that is on it.
    """

    name = "network-create"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        parser.add_argument("--name", default="")
        owner = parser.add_mutually_exclusive_group(required=True)
        owner.add_argument("--user", "--owner", help="its owner (uuid or e-mail)")
        owner.add_argument("--public", action="store_true", help="it belongs to nobody")
        parser.add_argument("--project", help="project that is charged; else the user's own")
        parser.add_argument("--flavor", choices=sorted(TYPES), required=True)
        parser.add_argument("--subnet", metavar="CIDR", help="IPv4 range")
        parser.add_argument("--gateway", metavar="ADDRESS", help="gateway in the range")
        parser.add_argument("--dhcp", type=boolean, default=False, metavar="True|False")
        parser.add_argument("--link", help="bridge or link on the nodes; else that of the flavor")
        parser.add_argument("--mac-prefix", help="five digits such as aa:00:1; else the flavor's")
        parser.add_argument("--tags", help="for Ganeti, with commas between; else the flavor's")
        for option, text in (
            ("--floating-ip-pool", "whether users get floating IPs from it"),
            ("--drained", "whether it gives no addresses any more"),
        ):
            parser.add_argument(
                option, type=boolean, default=False, metavar="True|False", help=text
            )

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Make it; list what is of it on the clusters."""
        user = await app.identity.users.get(options.user) if options.user else None
        if user is None and options.project:
            raise BadRequest("A public network is charged to no project")
        draft = NetworkDraft(
            name=options.name,
            type=options.flavor,
            user=None if user is None else user.uuid,
            project=None if user is None else options.project or user.default_project,
            link=options.link,
            mac_prefix=options.mac_prefix,
            tags=None if options.tags is None else tuple(options.tags.split(",")),
            floating_ip_pool=options.floating_ip_pool,
            drained=options.drained,
            subnet=options.subnet,
            gateway=options.gateway,
            dhcp=options.dhcp,
        )
        network, copies = await app.compute.network_administration.create(draft)
        out.record(
            [
                ("id", network.id),
                ("name", network.name),
                ("link", network.link),
                ("mac_prefix", network.mac_prefix),
            ],
            title="Network",
        )
        if copies:
            rows = [(copy.backend, copy.state) for copy in copies]
            out.table(("backend", "state"), rows, title="Clusters")


def _of_subnet(value: Callable[[Subnet], Any]) -> Callable[[NetworkUse], Any]:
    def read(row: NetworkUse) -> Any:
        subnet = row.network.subnet_of_version(4)
        return None if subnet is None else value(subnet)

    return read


class NetworkList(ListCommand):
    """List networks."""

    name = "network-list"
    stored = {"": (Network, lambda row: row.network)}
    user_field = "userid"
    project_field = "project"
    deleted_field = "deleted"
    fields = {
        "id": Field(lambda row: row.network.id, "number of the network"),
        "name": Field(lambda row: row.network.name, "its name"),
        "user.uuid": Field(lambda row: row.network.userid, "its owner, unless it is public"),
        "project": Field(lambda row: row.network.project, "project that is charged"),
        "state": Field(lambda row: row.network.status, "its state"),
        "public": Field(lambda row: row.network.public, "whether it belongs to nobody"),
        "flavor": Field(lambda row: row.network.type, "its flavor"),
        "mode": Field(lambda row: row.network.mode, "bridged or routed"),
        "subnets": Field(lambda row: [each.id for each in row.network.subnets], "its subnets"),
        "subnet.ipv4": Field(_of_subnet(lambda subnet: subnet.cidr), "its IPv4 range"),
        "gateway.ipv4": Field(_of_subnet(lambda subnet: subnet.gateway), "its IPv4 gateway"),
        "link": Field(lambda row: row.network.link, "bridge or link on the nodes"),
        "mac_prefix": Field(lambda row: row.network.mac_prefix, "how its MACs begin"),
        "drained": Field(lambda row: row.network.drained, "whether it gives no addresses"),
        "floating_ip_pool": Field(
            lambda row: row.network.floating_ip_pool, "whether users get floating IPs from it"
        ),
        "vms": Field(lambda row: row.servers, "servers on it"),
        "backends": Field(lambda row: row.backends, "clusters that have it"),
        "created": Field(lambda row: row.network.created, "when it was made"),
        "updated": Field(lambda row: row.network.updated, "when it changed last"),
        "deleted": Field(lambda row: row.network.deleted, "whether it is deleted"),
    }
    default_fields = (
        "id",
        "name",
        "user.uuid",
        "state",
        "public",
        "subnet.ipv4",
        "gateway.ipv4",
        "link",
        "mac_prefix",
        "drained",
        "floating_ip_pool",
    )

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        parser.add_argument("--public", action="store_true", help="only those that nobody owns")

    async def rows(self, app: Context, options: Options) -> Sequence[NetworkUse]:
        """Every network, or the public ones."""
        found = await app.compute.network_administration.list_all()
        return [each for each in found if each.network.public or not options.public]


class NetworkRemove(Command):
    """Remove networks that no server is on, from all clusters too."""

    name = "network-remove"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("networks", metavar="NETWORK", nargs="+", help="number or Ganeti name")
        confirmation_option(parser)

    def prepare(self, options: Options, terminal: Terminal) -> None:
        """Ask, unless told not to."""
        ask(options, terminal, f"Remove networks {', '.join(options.networks)}")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Remove all that can be; say which could not."""
        prefix = f"{app.settings.compute.backend_prefix_id}net-"

        async def remove(text: str) -> None:
            id = number(text, prefix, "network")
            await app.compute.networks.delete(OPERATOR, id)
            network = await app.compute.networks.show(OPERATOR, id)
            left = "" if network.deleted else "; its clusters are asked to"
            out.note(f"Network {id} is removed{left}")

        await each_of(options.networks, out, remove)
