"""Commands about ports and the history of addresses (operations reference §2.3)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from ipaddress import ip_address

from attrs import frozen

from synnefo_tx.caller import OPERATOR
from synnefo_tx.cli.command import Command, Options, number
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand, itself
from synnefo_tx.cli.output import Output
from synnefo_tx.compute.networks.model import Network
from synnefo_tx.compute.ports.history import AddressEvent
from synnefo_tx.compute.ports.model import Port
from synnefo_tx.compute.servers.commands import owner_email, server_numbered
from synnefo_tx.compute.servers.inspect_commands import NIC_FIELDS, nics, show_jobs
from synnefo_tx.compute.servers.inspection import Inspected
from synnefo_tx.faults import BadRequest, ServiceUnavailable
from synnefo_tx.ganeti.model import RapiFailure
from synnefo_tx.ganeti.requests import nic_name

DEVICE_OWNER = "vm"


@frozen
class PortRow:
    """A port and its network."""

    port: Port
    network: Network

    @property
    def userid(self) -> str:
        """The port's owner."""
        return self.port.userid


class PortList(ListCommand):
    """List ports."""

    name = "port-list"
    user_field = "userid"
    stored = {
        "": (Port, lambda row: row.port),
        "network": (Network, lambda row: row.network),
    }
    fields = {
        "id": Field(lambda row: row.port.id, "number of the port"),
        "name": Field(lambda row: row.port.name, "its name"),
        "user.uuid": Field(lambda row: row.port.userid, "its owner"),
        "mac_address": Field(lambda row: row.port.mac, "its MAC"),
        "network": Field(lambda row: row.port.network, "number of its network"),
        "server_id": Field(lambda row: row.port.server, "number of its server"),
        "fixed_ips": Field(lambda row: row.port.address, "its addresses"),
        "state": Field(lambda row: row.port.state, "its state"),
        "device_owner": Field(lambda row: DEVICE_OWNER, "kind of what it is on"),
        "created": Field(lambda row: row.port.created, "when it was made"),
        "updated": Field(lambda row: row.port.updated, "when it changed last"),
    }
    default_fields = (
        "id",
        "name",
        "user.uuid",
        "mac_address",
        "network",
        "server_id",
        "fixed_ips",
        "state",
    )

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        parser.add_argument("--public", action="store_true", help="only those on public networks")
        parser.add_argument("--server", metavar="SERVER", help="only those of a server")

    async def rows(self, app: Context, options: Options) -> Sequence[PortRow]:
        """The ports that are asked for."""
        server = server_numbered(app, options.server) if options.server else None
        uses = await app.compute.network_administration.list_all()
        networks = {each.network.id: each.network for each in uses}
        return [
            PortRow(port, networks[port.network])
            for port in await app.compute.ports.listing(OPERATOR)
            if server in (None, port.server)
            and (networks[port.network].public or not options.public)
        ]


class PortInspect(Command):
    """Show a port: what is stored, and what its server's cluster shows.

    It fails, after having shown what is stored, when the cluster does not answer in time.
    """

    name = "port-inspect"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("port", metavar="PORT", help="number, or Ganeti name")
        parser.add_argument("--jobs", action="store_true", help="show its server's jobs too")
        parser.add_argument("--display-mails", action="store_true", help="show its owner's e-mail")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Show what is stored, then what the cluster shows."""
        prefix = app.settings.compute.backend_prefix_id
        id = number(options.port, f"{prefix}nic-", "port")
        port = await app.compute.ports.get(OPERATOR, id)
        mails = [("email", await owner_email(app, port.userid))] if options.display_mails else []
        out.record([*_stored(port), *mails], title="Port")
        out.table(("address", "subnet"), _addresses(port), title="IPs")
        inspected = await app.compute.inspection.stored(port.server)
        try:
            await _cluster(app, inspected, nic_name(id, prefix), out)
            if options.jobs:
                await show_jobs(app, inspected, out)
        except RapiFailure as error:
            raise ServiceUnavailable(f"The cluster does not show the NIC: {error}") from error


def _stored(port: Port) -> list[tuple[str, object]]:
    return [
        ("id", port.id),
        ("name", port.name),
        ("userid", port.userid),
        ("server", port.server),
        ("device_owner", DEVICE_OWNER),
        ("network", port.network),
        ("index", port.index),
        ("mac_address", port.mac),
        ("state", port.state),
        ("created", port.created),
        ("updated", port.updated),
    ]


def _addresses(port: Port) -> list[tuple[object, ...]]:
    return [] if port.address is None else [(port.address, port.subnet)]


async def _cluster(app: Context, inspected: Inspected, name: str, out: Output) -> None:
    instance = await app.compute.inspection.instance(inspected.server)
    found = [each for each in nics(instance or {}) if each[NIC_FIELDS.index("name")] == name]
    if not found:
        out.note("The cluster has no such NIC")
    out.table(NIC_FIELDS, found, title="Ganeti NIC")


class IpList(ListCommand):
    """List who was given which public address when, and who gave it back."""

    name = "ip-list"
    user_field = "userid"
    stored = {"": (AddressEvent, itself)}
    fields = {
        "address": Field(lambda row: row.address, "the address"),
        "user": Field(lambda row: row.userid, "whose server it was"),
        "server": Field(lambda row: row.server, "number of the server"),
        "network": Field(lambda row: row.network, "number of the network"),
        "action": Field(lambda row: row.action, "associate or disassociate"),
        "date": Field(lambda row: row.date, "when"),
        "reason": Field(lambda row: row.reason, "why"),
    }
    default_fields = ("address", "user", "server", "network", "action", "date")

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        parser.add_argument("--address", help="only this address")
        parser.add_argument("--server", metavar="SERVER", help="only addresses of a server")

    async def rows(self, app: Context, options: Options) -> Sequence[AddressEvent]:
        """What happened to the addresses that are asked for, oldest first."""
        server = server_numbered(app, options.server) if options.server else None
        user = (await app.identity.users.get(options.user)).uuid if options.user else None
        try:
            address = str(ip_address(options.address)) if options.address else None
        except ValueError:
            raise BadRequest(f"{options.address!r} is no address") from None
        return await app.compute.address_history.listing(address, server, user)
