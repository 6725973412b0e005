"""Commands that list and show servers (operations reference §2.1)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from attrs import frozen

from synnefo_tx.caller import OPERATOR
from synnefo_tx.cli.command import Command, Options, number
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand
from synnefo_tx.cli.output import Output
from synnefo_tx.compute.changes import EVER
from synnefo_tx.compute.flavors.model import Flavor, VolumeType
from synnefo_tx.compute.servers.lifecycle import TASK_STATES
from synnefo_tx.compute.servers.model import Server, ServerView
from synnefo_tx.faults import ItemNotFound


@frozen
class ServerRow:
    """A server as it is listed."""

    view: ServerView
    flavor: Flavor
    image_name: str

    @property
    def server(self) -> Server:
        """The server's own row."""
        return self.view.server

    @property
    def userid(self) -> str:
        """The server's owner."""
        return self.server.userid

    @property
    def project(self) -> str:
        """The project that is charged for it."""
        return self.server.project

    @property
    def deleted(self) -> bool:
        """Whether the server is deleted."""
        return self.server.deleted

    @property
    def state(self) -> str:
        """The state, with the progress of a build."""
        if self.server.operstate == "BUILD":
            return f"BUILD({self.server.progress}%)"
        return self.server.operstate


class ServerList(ListCommand):
    """List servers."""

    name = "server-list"
    user_field = "userid"
    project_field = "project"
    deleted_field = "deleted"
    stored = {
        "": (Server, lambda row: row.server),
        "flavor": (Flavor, lambda row: row.flavor),
        "volume_type": (VolumeType, lambda row: row.flavor.volume_type),
    }
    fields = {
        "id": Field(lambda row: row.server.id, "number of the server"),
        "name": Field(lambda row: row.server.name, "its name"),
        "user.uuid": Field(lambda row: row.server.userid, "its owner"),
        "project": Field(lambda row: row.server.project, "project that is charged"),
        "state": Field(lambda row: row.state, "its state", lambda row: row.server.operstate),
        "task": Field(lambda row: TASK_STATES[row.server.task], "what is being done with it"),
        "flavor": Field(lambda row: row.flavor.name, "its sizes in a word"),
        "image.id": Field(lambda row: row.server.image, "image it was built of"),
        "image.name": Field(lambda row: row.image_name, "name of that image"),
        "backend": Field(lambda row: row.server.backend, "number of its cluster"),
        "ipv4": Field(
            lambda row: [each.address for each in row.view.nics if each.address], "its addresses"
        ),
        "suspended": Field(lambda row: row.server.suspended, "whether it was suspended"),
        "created": Field(lambda row: row.server.created, "when it was made"),
        "updated": Field(lambda row: row.server.updated, "when it changed last"),
        "deleted": Field(lambda row: row.server.deleted, "whether it is deleted"),
    }
    default_fields = ("id", "name", "user.uuid", "state", "flavor", "image.id", "backend")

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        parser.add_argument("--suspended", action="store_true", help="only suspended ones")
        parser.add_argument("--backend-id", type=int, metavar="ID", help="only those of a cluster")
        parser.add_argument("--build", action="store_true", help="only those that are being built")
        parser.add_argument("--image-name", action="store_true", help="show the image's name too")

    def columns(self, options: Options) -> tuple[str, ...]:
        """The usual fields, and those asked for."""
        return self.default_fields + (("image.name",) if options.image_name else ())

    async def rows(self, app: Context, options: Options) -> Sequence[ServerRow]:
        """The servers that are asked for."""
        views = await app.compute.servers.listing(OPERATOR, EVER if options.deleted else None)
        flavors = await app.compute.flavors.listing(everything=True)
        flavor_of = {each.id: each for each in flavors}
        images = {each.id: each.name for each in await app.compute.images.list_all()}
        return [
            ServerRow(
                view,
                flavor_of[view.server.flavor],
                images.get(view.server.image, ""),
            )
            for view in views
            if _is_wanted(view.server, options)
        ]


def _is_wanted(server: Server, options: Options) -> bool:
    return (
        (server.suspended or not options.suspended)
        and (server.operstate == "BUILD" or not options.build)
        and options.backend_id in (None, server.backend)
    )


async def owner_email(app: Context, uuid: str) -> str:
    """The e-mail of a server's owner; empty if there is no such user any more."""
    try:
        return (await app.identity.users.get(uuid)).email
    except ItemNotFound:
        return ""


def server_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the server that a command is about."""
    parser.add_argument("server", metavar="SERVER", help="number, or Ganeti name")


def server_number(app: Context, options: Options) -> int:
    """The number of the server that a command is about; raises BadRequest."""
    return server_numbered(app, options.server)


def server_numbered(app: Context, text: str) -> int:
    """The number of a server, given as such or as Ganeti's name; raises BadRequest."""
    return number(text, app.settings.compute.backend_prefix_id, "server")


class ServerShow(Command):
    """Show a server."""

    name = "server-show"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments."""
        server_argument(parser)

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Show what users and operators know of it."""
        await show_server(app, server_number(app, options), out)


async def show_server(app: Context, id: int, out: Output) -> None:
    """Say what users and operators know of a server; raises ItemNotFound."""
    inspected = await app.compute.inspection.stored(id)
    server = inspected.server
    out.record(
        [
            ("id", server.id),
            ("name", server.name),
            ("owner_uuid", server.userid),
            ("owner_name", await owner_email(app, server.userid)),
            ("project", server.project),
            ("created", server.created),
            ("updated", server.updated),
            ("image", server.image),
            ("flavor", inspected.flavor.name),
            ("deleted", server.deleted),
            ("suspended", server.suspended),
            ("state", server.operstate),
            ("task", TASK_STATES[server.task]),
            ("task_job_id", inspected.task_job_id),
        ]
    )
