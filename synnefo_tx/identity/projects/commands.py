"""Commands about projects (identity reference §5)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from synnefo_tx.cli.command import Command, Options, refuse_option
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand, itself
from synnefo_tx.cli.output import Output
from synnefo_tx.identity.projects.model import Project
from synnefo_tx.identity.quota import amounts
from synnefo_tx.identity.quota.commands import unit_style_option
from synnefo_tx.identity.quota.model import INFINITE


class ProjectList(ListCommand):
    """List projects that are not over; those of single users on demand."""

    name = "project-list"
    stored = {"": (Project, itself)}
    user_field = "owner"
    deleted_field = "is_gone"
    fields = {
        "id": Field(lambda project: project.uuid, "the project's uuid"),
        "name": Field(lambda project: project.realname, "its name"),
        "owner": Field(
            lambda project: project.owner_email,
            "the owner's e-mail; filters take the uuid too",
            lambda project: (project.owner_email or "", project.owner or ""),
        ),
        "status": Field(lambda project: project.state, "its state"),
        "description": Field(lambda project: project.description, "what it is for"),
        "end_date": Field(lambda project: project.end_date, "when it ends"),
        "creation_date": Field(lambda project: project.created, "when it was made"),
    }
    default_fields = ("id", "name", "owner", "status")

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        parser.add_argument(
            "--system-projects", action="store_true", help="list those of single users too"
        )
        for option in ("--new", "--modified", "--pending"):
            refuse_option(parser, option, instead="projects are not applied for here", values=0)

    async def rows(self, app: Context, options: Options) -> Sequence[Project]:
        """The projects of the kinds that are asked for."""
        projects = await app.identity.projects.list_all()
        return [each for each in projects if options.system_projects or not each.is_system]


class ProjectShow(Command):
    """Show a project."""

    name = "project-show"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("project", metavar="UUID")
        parser.add_argument("--members", action="store_true", help="show the members")
        parser.add_argument("--quota", action="store_true", help="show usage beside the limits")
        unit_style_option(parser)
        refuse_option(
            parser, "--pending-app", instead="projects are not applied for here", values=0
        )

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Show the project with its limits, and what else is asked for."""
        project = await app.identity.projects.get(options.project)
        out.record(project_record(project))
        await self._limits(app, project, options, out)
        if options.members:
            members = await app.identity.projects.list_members(project.uuid)
            out.table(
                ("member uuid", "email", "status"),
                [(each.member, each.member_email, each.state) for each in members],
                title="Members",
            )

    async def _limits(self, app: Context, project: Project, options: Options, out: Output) -> None:
        limits = await app.identity.quota.project_limits(project.uuid)
        units = await app.identity.resources.units()
        headers = ("name", "max per member", "max per project", "usage")
        shown = len(headers) if options.quota else len(headers) - 1
        rows = []
        for each in limits:
            values = (each.per_member, each.per_project, each.usage)[: shown - 1]
            unit, style = units[each.resource], options.unit_style
            rows.append((each.resource, *(amounts.show(value, unit, style) for value in values)))
        out.table(headers[:shown], rows, title="Limits")


def project_record(project: Project) -> list[tuple[str, Any]]:
    """The fields of a project as project-show names them."""
    unlimited = project.max_members == INFINITE
    return [
        ("project id", project.uuid),
        ("name", project.realname),
        ("status", project.state),
        ("owner", project.owner_email),
        ("homepage", project.homepage),
        ("description", project.description),
        ("creation date", project.created),
        ("request end date", project.end_date),
        ("join policy", project.join_policy),
        ("leave policy", project.leave_policy),
        ("max members", "inf" if unlimited else project.max_members),
        ("total members", project.members),
    ]
