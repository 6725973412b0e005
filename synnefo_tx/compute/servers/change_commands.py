"""Commands that make, change and remove servers (operations reference §2.1)."""

from __future__ import annotations

import argparse
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

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
    refuse_option,
)
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output
from synnefo_tx.cli.waiting import wait_for, wait_option
from synnefo_tx.compute.ports.model import WantedPort
from synnefo_tx.compute.servers import rules
from synnefo_tx.compute.servers.actions import ServerActions
from synnefo_tx.compute.servers.commands import (
    server_argument,
    server_number,
    server_numbered,
    show_server,
)
from synnefo_tx.compute.servers.model import ServerDraft
from synnefo_tx.faults import BadRequest

PORT = re.compile(r"network:([^,]+)(?:,address[:=]([^,]+))?\Z")
Act = Callable[[ServerActions, int], Awaitable[None]]
ACTIONS: Mapping[str, Act] = {
    "start": lambda actions, id: actions.start(OPERATOR, id),
    "stop": lambda actions, id: actions.shutdown(OPERATOR, id),
    "reboot_hard": lambda actions, id: actions.reboot(OPERATOR, id, True),
    "reboot_soft": lambda actions, id: actions.reboot(OPERATOR, id, False),
}
NO_TAGS = "servers have no tags here"
NO_RESCUE = "there is no rescue of servers here"
NO_VOLUMES = "volumes come with their server alone here, from its image and flavor"


def wanted_port(text: str, prefix: str) -> WantedPort:
    """A port as ``--port`` says it: ``network:ID[,address=IP]``, of old ``…,address:IP``.

    Raises BadRequest.
    """
    if text.startswith(("id:", "floatingip:")):
        raise BadRequest(f"--port {text}: there are no such ports here; write network:ID")
    match = PORT.match(text)
    if match is None:
        raise BadRequest(f"--port {text!r}: write network:ID or network:ID,address=IP")
    return WantedPort(number(match[1], f"{prefix}net-", "network"), match[2])


class ServerCreate(Command):
    """Build a server for a user, charged as if they did it themselves.

    With --backend-id on that cluster, even if it is drained.
    """

    name = "server-create"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        parser.add_argument("--name", required=True)
        parser.add_argument("--user", required=True, help="its owner (uuid or e-mail)")
        parser.add_argument("--project", metavar="UUID", help="else the user's default one")
        parser.add_argument("--image", required=True, metavar="UUID")
        parser.add_argument("--flavor", required=True, type=int, metavar="ID")
        parser.add_argument(
            "--password", required=True, help="the administrator's; - reads it from standard input"
        )
        parser.add_argument(
            "--port", action="append", default=[], metavar="network:ID[,address=IP]",
            help="put it on a network of the user's; may be given several times",
        )  # fmt: skip
        parser.add_argument("--backend-id", type=int, metavar="ID", help="build it there")
        wait_option(parser, False)
        refuse_option(parser, "--volume", instead=NO_VOLUMES)
        refuse_option(parser, "--floating-ips", instead="there are no floating IPs here")
        refuse_option(parser, "--tags", instead=NO_TAGS)
        refuse_option(parser, "--helper", instead="there are no helper servers here", values=0)

    def prepare(self, options: Options, terminal: Terminal) -> None:
        """Read the password if it comes from standard input."""
        options.password = terminal.secret(options.password)

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Charge, place and begin to build it; show it, built if --wait says so."""
        prefix = app.settings.compute.backend_prefix_id
        caller = await app.identity.users.as_caller(options.user)
        draft = ServerDraft(
            name=rules.check_server_name(options.name),
            image=options.image,
            flavor=options.flavor,
            project=options.project,
            metadata={},
            networks=tuple(wanted_port(each, prefix) for each in options.port),
            personality=(),
            admin_password=rules.check_password(options.password),
            backend=options.backend_id,
        )
        created = await app.compute.servers.create(caller, draft)
        try:
            await wait_for(app, f"server:{created.id}", options, out)
        finally:
            await show_server(app, created.id, out)


class ServerRemove(Command):
    """Remove servers, whatever they do, from their clusters too."""

    name = "server-remove"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("servers", metavar="SERVER", nargs="+", help="number, or Ganeti name")
        confirmation_option(parser)
        wait_option(parser, True)

    def prepare(self, options: Options, terminal: Terminal) -> None:
        """Ask, unless told not to."""
        ask(options, terminal, f"Remove servers {', '.join(options.servers)}")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Ask for all to be removed, then wait for each; say which could not."""

        async def remove(text: str) -> None:
            await app.compute.actions.delete(OPERATOR, server_numbered(app, text))

        async def wait(text: str) -> None:
            await wait_for(app, f"server:{server_numbered(app, text)}", options, out)

        await each_of(options.servers, out, remove, wait)


def action(text: str) -> str:
    """An action of ``server-modify``; for argparse."""
    if text in ("rescue", "unrescue"):
        raise argparse.ArgumentTypeError(NO_RESCUE)
    if text not in ACTIONS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(ACTIONS)}")
    return text


class ServerModify(Command):
    """Change a server, also a suspended one; with --wait each step after the one before.

    What its owner may not do in its state the operator may not either.
    """

    name = "server-modify"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        server_argument(parser)
        parser.add_argument("--name")
        parser.add_argument(
            "--suspended", type=boolean, metavar="True|False",
            help="whether its owner may only look at it",
        )  # fmt: skip
        parser.add_argument("--flavor", type=int, metavar="ID", help="another, with the same disk")
        parser.add_argument("--action", type=action, metavar="|".join(ACTIONS))
        wait_option(parser, True)
        refuse_option(parser, "--user", instead="servers stay with who made them here")
        for option in ("--tag-add", "--tag-delete", "--tag-replace-all", "--tag-namespace"):
            refuse_option(parser, option, instead=NO_TAGS)
        refuse_option(parser, "--tag-delete-all", instead=NO_TAGS, values=0)

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Do what is asked for in the order name, suspension, flavor, action."""
        asked = (options.name, options.suspended, options.flavor, options.action)
        if asked == (None,) * len(asked):
            raise BadRequest("No change is asked for: see --help")
        id, actions = server_number(app, options), app.compute.actions
        if options.name is not None:
            await app.compute.servers.rename(OPERATOR, id, options.name)
            out.note(f"Server {id} has another name")
        if options.suspended is not None:
            await actions.suspend(OPERATOR, id, options.suspended)
            out.note(f"Server {id} is {'' if options.suspended else 'no longer '}suspended")
        steps: list[Callable[[], Awaitable[None]]] = []
        if options.flavor is not None:
            steps.append(partial(actions.resize, OPERATOR, id, options.flavor))
        if options.action is not None:
            steps.append(partial(ACTIONS[options.action], actions, id))
        for step in steps:
            await step()
            await wait_for(app, f"server:{id}", options, out)
