"""Commands about resources and quota (identity reference §5)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from attrs import evolve, frozen

from synnefo_tx.cli.command import Command, Options, boolean
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand, itself
from synnefo_tx.cli.output import Output
from synnefo_tx.faults import BadRequest, Conflict
from synnefo_tx.identity.quota import amounts
from synnefo_tx.identity.quota.model import ListedHolding, Resource, ResourceChanges


def unit_style_option(parser: argparse.ArgumentParser) -> None:
    """Declare --unit-style."""
    parser.add_argument("--unit-style", choices=amounts.STYLES, default=amounts.STYLES[0])


@frozen
class QuotaRow:
    """A row of quota-list; the limit and the usage as numbers, and as they are shown."""

    user: str
    user_uuid: str
    displayname: str
    holder: str
    source: str
    resource: str
    limit: int
    usage: int
    limit_shown: str
    usage_shown: str


class QuotaList(ListCommand):
    """List limits and usage of all users and projects."""

    name = "quota-list"
    stored = {"": (QuotaRow, itself)}
    user_field = "user_uuid"
    mail_field = "displayname"
    fields = {
        "displayname": Field(lambda row: row.displayname, "the holder's name"),
        "holder": Field(lambda row: row.holder, "user:UUID or project:UUID"),
        "source": Field(lambda row: row.source, "the project a user's limit is from"),
        "resource": Field(lambda row: row.resource, "the resource"),
        "limit": Field(lambda row: row.limit_shown, "how much may be used", lambda row: row.limit),
        "usage": Field(lambda row: row.usage_shown, "how much is used", lambda row: row.usage),
    }
    default_fields = ("holder", "source", "resource", "limit", "usage")

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        parser.add_argument("--overlimit", action="store_true", help="only what is over its limit")
        unit_style_option(parser)

    def columns(self, options: Options) -> tuple[str, ...]:
        """The usual fields, behind the name if asked for."""
        return (("displayname",) if options.display_mails else ()) + self.default_fields

    async def rows(self, app: Context, options: Options) -> Sequence[QuotaRow]:
        """Every limit and usage."""
        units = await app.identity.resources.units()
        held = await app.identity.quota.list_holdings()
        return [
            _quota_row(each, units[each.resource], options.unit_style)
            for each in held
            if each.usage > each.limit or not options.overlimit
        ]


def _quota_row(held: ListedHolding, unit: str | None, style: str) -> QuotaRow:
    project = f"project:{held.project}"
    return QuotaRow(
        user="" if held.of_project else f"user:{held.member}",
        user_uuid="" if held.of_project else held.member,
        displayname=held.member_name,
        holder=project if held.of_project else f"user:{held.member}",
        source="" if held.of_project else project,
        resource=held.resource,
        limit=held.limit,
        usage=held.usage,
        limit_shown=amounts.show(held.limit, unit, style),
        usage_shown=amounts.show(held.usage, unit, style),
    )


class QuotaVerify(Command):
    """Look for holdings that nobody can have; limits are worked out when asked for, and so right.

    It fails while there are any.
    """

    name = "quota-verify"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        parser.add_argument(
            "--include-unexpected-holdings", action="store_true",
            help="look for usage of those who are not in the project",
        )  # fmt: skip
        parser.add_argument("--fix", action="store_true", help="delete them")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Look, delete if asked to, and look again."""
        if not options.include_unexpected_holdings:
            out.note("Limits are right; see --include-unexpected-holdings")
            return
        quota = app.identity.quota
        found = left = await quota.unexpected()
        if options.fix and found:
            await quota.delete_unexpected()
            left = await quota.unexpected()
        out.table(
            ("Holder", "Source", "Resource", "Astakos", "Quotaholder"),
            [
                (
                    f"user:{each.member}",
                    f"project:{each.project}",
                    each.resource,
                    "",
                    each.usage_max,
                )
                for each in found
            ],
        )
        if left:
            raise Conflict(f"{len(left)} holdings are of nobody")


@frozen
class ResourceRow:
    """A resource with its limits as they are shown."""

    resource: Resource
    style: str

    def limit(self, amount: int) -> str:
        """A limit of the resource as it is shown."""
        return amounts.show(amount, self.resource.unit, self.style)


class ResourceList(ListCommand):
    """List resources and their limits for projects to come."""

    name = "resource-list"
    fields = {
        "id": Field(lambda row: row.resource.id, "number of the resource"),
        "name": Field(lambda row: row.resource.name, "its name"),
        "system_default": Field(
            lambda row: row.limit(row.resource.system_default),
            "limit in system projects",
            lambda row: row.resource.system_default,
        ),
        "project_default": Field(
            lambda row: row.limit(row.resource.project_default),
            "limit in other projects",
            lambda row: row.resource.project_default,
        ),
        "api_visible": Field(lambda row: row.resource.api_visible, "whether the API shows it"),
        "ui_visible": Field(lambda row: row.resource.ui_visible, "whether the pages show it"),
        "service_type": Field(lambda row: row.resource.service_type, "type of its service"),
        "service_origin": Field(lambda row: row.resource.service, "its service"),
        "unit": Field(lambda row: row.resource.unit, "what it is counted in"),
        "description": Field(lambda row: row.resource.description, "what it is"),
    }
    default_fields = (
        "id",
        "name",
        "system_default",
        "project_default",
        "api_visible",
        "ui_visible",
    )

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        unit_style_option(parser)

    async def rows(self, app: Context, options: Options) -> Sequence[ResourceRow]:
        """Every resource."""
        return [
            ResourceRow(each, options.unit_style)
            for each in await app.identity.resources.list_all()
        ]


class ResourceModify(Command):
    """Change a resource; limits hold for projects that begin later."""

    name = "resource-modify"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("resource", metavar="NAME")
        parser.add_argument("--system-default", metavar="LIMIT", help="such as 4, 8GiB or inf")
        parser.add_argument("--project-default", metavar="LIMIT")
        parser.add_argument("--api-visible", type=boolean, metavar="BOOL")
        parser.add_argument("--ui-visible", type=boolean, metavar="BOOL")
        unit_style_option(parser)

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Change the resource and show it."""
        changes = ResourceChanges(api_visible=options.api_visible, ui_visible=options.ui_visible)
        if options.system_default is not None:
            changes = evolve(changes, system_default=amounts.parse(options.system_default))
        if options.project_default is not None:
            changes = evolve(changes, project_default=amounts.parse(options.project_default))
        if changes == ResourceChanges():
            raise BadRequest("No change is asked for: see --help")
        await app.identity.resources.modify(options.resource, changes)
        for each in await app.identity.resources.list_all():
            if each.name == options.resource:
                row = ResourceRow(each, options.unit_style)
                fields = ResourceList.fields
                names = ResourceList.default_fields
                out.record([(name, fields[name].value(row)) for name in names])
