"""Commands that change projects (identity reference §5, I-129, I-131)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import get_args

from synnefo_tx.cli.command import Command, Options, Terminal, boolean, refuse_option
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output
from synnefo_tx.faults import BadRequest, Conflict, Fault
from synnefo_tx.identity.projects.commands import project_record
from synnefo_tx.identity.projects.model import LimitChange, Project, ProjectChanges
from synnefo_tx.identity.projects.rules import POLICIES, Control
from synnefo_tx.identity.quota import amounts

CONTROLS: tuple[Control, ...] = get_args(Control)
NO_APPLICATIONS = "projects are not applied for here"
OWN = ("name", "owner", "homepage", "description")


def moment(text: str) -> datetime:
    """A date, with or without a time, of UTC unless it says otherwise; for argparse."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date: write 2030-12-31") from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


class ProjectModify(Command):
    """Change a project, or all system projects: all that is asked for, at once, or nothing."""

    name = "project-modify"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("project", metavar="UUID", nargs="?")
        parser.add_argument(
            "--all-system-projects", action="store_true", help="those of all single users"
        )
        parser.add_argument(
            "--exclude", metavar="UUID[,UUID…]", help="but not those of these users"
        )
        parser.add_argument("--name", help="looks like a host's: lab.example.org")
        parser.add_argument("--owner", help="an accepted user (uuid or e-mail)")
        parser.add_argument("--homepage")
        parser.add_argument("--description")
        parser.add_argument("--end-date", type=moment, metavar="DATE")
        parser.add_argument("--join-policy", choices=POLICIES)
        parser.add_argument("--leave-policy", choices=POLICIES)
        parser.add_argument("--max-members", metavar="NUMBER", help="or inf")
        parser.add_argument("--private", type=boolean, metavar="BOOL")
        parser.add_argument(
            "--limit", nargs=3, action="append", default=[],
            metavar=("RESOURCE", "MEMBER", "PROJECT"),
            help="limits of each member and of the project, such as 4, 8GiB or inf; may be given "
            "several times",
        )  # fmt: skip

    def prepare(self, options: Options, terminal: Terminal) -> None:
        """Refuse what does not go together."""
        if bool(options.project) == options.all_system_projects:
            raise BadRequest("Name a project, or give --all-system-projects")
        if options.exclude and not options.all_system_projects:
            raise BadRequest("--exclude goes with --all-system-projects")
        own = [name for name in OWN if getattr(options, name) is not None]
        if own and options.all_system_projects:
            raise BadRequest(f"System projects keep their {', '.join(own)}")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Change it and show it, or say how many were changed."""
        changes = await _changes(app, options)
        if changes == ProjectChanges():
            raise BadRequest("No change is asked for: see --help")
        projects = app.identity.projects
        if options.all_system_projects:
            excluded = [each for each in (options.exclude or "").split(",") if each]
            users = [(await app.identity.users.get(each)).uuid for each in excluded]
            count = await projects.modify_system(changes, users)
            out.note(f"{count} system projects were changed")
            return
        out.record(project_record(await projects.modify(options.project, changes)))


async def _changes(app: Context, options: Options) -> ProjectChanges:
    owner = None if options.owner is None else (await app.identity.users.get(options.owner)).uuid
    most = options.max_members
    return ProjectChanges(
        name=options.name,
        owner=owner,
        homepage=options.homepage,
        description=options.description,
        end_date=options.end_date,
        join_policy=options.join_policy,
        leave_policy=options.leave_policy,
        max_members=None if most is None else amounts.parse(most),
        private=options.private,
        limits=tuple(
            LimitChange(resource, amounts.parse(member), amounts.parse(project))
            for resource, member, project in options.limit
        ),
    )


class ProjectControl(Command):
    """Suspend, unsuspend, terminate or reinstate a project; find and end those past their end."""

    name = "project-control"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        wanted = parser.add_mutually_exclusive_group(required=True)
        for control, text in zip(
            CONTROLS,
            (
                "let nobody use what it gives",
                "let them again",
                "end it, and free its name",
                "let it go on, if its name is free",
            ),
            strict=True,
        ):
            wanted.add_argument(f"--{control}", metavar="PROJECT", help=text)
        wanted.add_argument(
            "--check-expired", action="store_true", help="list those past their end"
        )
        wanted.add_argument(
            "--terminate-expired", action="store_true", help="end those past their end"
        )
        for option in ("--approve", "--deny"):
            refuse_option(wanted, option, instead=NO_APPLICATIONS)
        refuse_option(parser, "-m", "--message", instead=NO_APPLICATIONS)

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Do it and say what became of it."""
        projects = app.identity.projects
        for control in CONTROLS:
            named = getattr(options, control)
            if named is not None:
                project = await projects.control(named, control)
                out.note(f"Project {project.uuid} ({project.realname}) is {project.state}")
                return
        expired = await projects.expired()
        if options.terminate_expired:
            expired, failed = await _terminate(app, expired, out)
        else:
            failed = []
        out.table(
            ("Project", "Name", "Status", "Expiration date"),
            [(each.uuid, each.realname, each.state, each.end_date) for each in expired],
        )
        if failed:
            raise Conflict(f"not ended: {', '.join(failed)}")


async def _terminate(
    app: Context, expired: Sequence[Project], out: Output
) -> tuple[list[Project], list[str]]:
    """Those that were ended, as they are now, and the uuids of those that could not."""
    ended, failed = [], []
    for project in expired:
        try:
            ended.append(await app.identity.projects.control(project.uuid, "terminate"))
        except Fault as error:
            failed.append(project.uuid)
            out.error(f"{project.uuid}: {error}")
    return ended, failed
