"""Commands about users (identity reference §5)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from synnefo_tx.cli.command import (
    Command,
    Options,
    Terminal,
    ask,
    confirmation_option,
    refuse_option,
)
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand, itself
from synnefo_tx.cli.output import Output
from synnefo_tx.faults import BadRequest
from synnefo_tx.identity.quota import amounts
from synnefo_tx.identity.quota.commands import unit_style_option
from synnefo_tx.identity.users.model import User, UserChanges
from synnefo_tx.identity.users.rules import status

CHANGES = (
    "set_email",
    "add_group",
    "delete_group",
    "password",
    "renew_password",
    "renew_token",
    "set_default_project",
)
NO_PERMISSIONS = "rights come with groups here, see --add-group"
STATES = {
    "verify": "verify",
    "accept": "accept",
    "reject": "reject",
    "set_active": "activate",
    "set_inactive": "deactivate",
}


class UserAdd(Command):
    """Make a user; without a password one is made up and shown."""

    name = "user-add"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("email", metavar="EMAIL")
        parser.add_argument("first_name", metavar="FIRST")
        parser.add_argument("last_name", metavar="LAST")
        parser.add_argument("--password", help="the password; - reads it from standard input")
        parser.add_argument("--admin", action="store_true", help="make an administrator")
        parser.add_argument("-g", "--group", action="append", default=[], help="add to a group")
        refuse_option(parser, "-p", "--permission", instead=NO_PERMISSIONS)

    def prepare(self, options: Options, terminal: Terminal) -> None:
        """Read the password if it comes from standard input."""
        options.password = terminal.secret(options.password)

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Make the user; they become active by user-modify --verify and --accept."""
        created = await app.identity.users.add(
            options.email,
            options.first_name,
            options.last_name,
            password=options.password,
            is_admin=options.admin,
            groups=tuple(options.group),
        )
        pairs = [("UUID", created.uuid)]
        if created.password is not None:
            out.hide(created.password)
            pairs.append(("Password", created.password))
        out.record(pairs)


class UserList(ListCommand):
    """List users."""

    name = "user-list"
    stored = {"": (User, itself)}
    fields = {
        "id": Field(lambda user: user.id, "number of the user"),
        "displayname": Field(lambda user: user.username, "name to log in with"),
        "email": Field(lambda user: user.email, "e-mail as it was given"),
        "realname": Field(lambda user: user.realname, "first and last name"),
        "uuid": Field(lambda user: user.uuid, "the user's uuid"),
        "active": Field(lambda user: user.is_active, "whether the user may log in"),
        "admin": Field(lambda user: user.is_admin, "whether the user is an administrator"),
        "verified": Field(lambda user: user.email_verified, "whether the e-mail was verified"),
        "moderated": Field(lambda user: user.moderated, "whether an operator decided"),
        "status": Field(status, "the state in words"),
        "groups": Field(lambda user: user.groups, "the user's groups"),
        "last_login": Field(lambda user: user.last_login, "last log-in with a password"),
        "date_joined": Field(lambda user: user.date_joined, "when the user was made"),
    }
    default_fields = ("id", "displayname", "realname", "uuid", "active", "admin")

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        parser.add_argument("--group", action="append", default=[], help="only members of it")
        parser.add_argument("--active", action="store_true", help="only active users")
        parser.add_argument("--pending-moderation", action="store_true")
        parser.add_argument("--pending-verification", action="store_true")
        refuse_option(
            parser, "--auth-providers", instead="users log in with a password here", values=0
        )
        parser.add_argument("--display-mails", action="store_true", help="show e-mails too")

    def columns(self, options: Options) -> tuple[str, ...]:
        """The usual fields, and the e-mail if asked for."""
        return self.default_fields + (("email",) if options.display_mails else ())

    async def rows(self, app: Context, options: Options) -> Sequence[User]:
        """The users of the kinds that are asked for."""
        users: Sequence[User] = await app.identity.users.list_all()
        if options.active:
            users = [user for user in users if user.is_active]
        if options.pending_verification:
            users = [user for user in users if not user.email_verified]
        if options.pending_moderation:
            users = [user for user in users if user.email_verified and not user.moderated]
        return [user for user in users if set(options.group) <= set(user.groups)]


class UserShow(Command):
    """Show a user."""

    name = "user-show"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("user", metavar="ID|EMAIL|UUID")
        parser.add_argument("--quota", action="store_true", help="show limits and usage")
        parser.add_argument("--projects", action="store_true", help="show projects")
        unit_style_option(parser)

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Show the user, and what else is asked for."""
        user = await app.identity.users.get(options.user)
        out.record(user_record(user))
        if options.quota:
            rows = await app.identity.quota.list_holdings(user.uuid)
            units, style = await app.identity.resources.units(), options.unit_style
            table = [
                (
                    f"project:{row.project}",
                    row.resource,
                    amounts.show(row.limit, units[row.resource], style),
                    amounts.show(row.usage, units[row.resource], style),
                )
                for row in rows
                if not row.of_project
            ]
            out.table(("source", "resource", "limit", "usage"), table, title="User quota")
        if options.projects:
            projects = app.identity.projects
            owned = [each for each in await projects.list_all() if each.owner == user.uuid]
            out.table(
                ("project id", "project name", "status"),
                [(each.uuid, each.realname, each.state) for each in owned],
                title="Owned projects",
            )
            memberships = await projects.list_memberships(user.uuid)
            out.table(
                ("project id", "project name", "status"),
                [(each.project, each.project_name, each.state) for each in memberships],
                title="Project memberships",
            )


def user_record(user: User) -> list[tuple[str, Any]]:
    """The fields of a user as user-show names them."""
    return [
        ("id", user.id),
        ("uuid", user.uuid),
        ("status", status(user)),
        ("email", user.email),
        ("first name", user.first_name),
        ("last name", user.last_name),
        ("admin", user.is_admin),
        ("last login", user.last_login),
        ("date joined", user.date_joined),
        ("last update", user.updated),
        ("token expiration", user.token_expires),
        ("groups", user.groups),
        ("email_verified", user.email_verified),
        ("moderated", user.moderated),
        ("rejected", user.is_rejected),
        ("active", user.is_active),
        ("username", user.username),
        ("default_project", user.default_project),
    ]


class UserModify(Command):
    """Change a user; all that is asked for, or nothing."""

    name = "user-modify"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("user", metavar="ID|UUID")
        state = parser.add_mutually_exclusive_group()
        for option, text in (
            ("--verify", "count the e-mail as verified"),
            ("--accept", "let in a user who was verified"),
            ("--reject", "turn away a user who was verified"),
            ("--set-active", "let an inactive user in again"),
            ("--set-inactive", "disable a user: all log-ins and tokens, at once"),
        ):
            state.add_argument(option, action="store_true", help=text)
        parser.add_argument("--reject-reason", default="")
        parser.add_argument("--inactive-reason", default="")
        admin = parser.add_mutually_exclusive_group()
        admin.add_argument("--set-admin", dest="admin", action="store_true", default=None)
        admin.add_argument("--set-noadmin", dest="admin", action="store_false")
        parser.add_argument("--set-email", metavar="EMAIL")
        parser.add_argument("--add-group", action="append", default=[], metavar="GROUP")
        parser.add_argument("--delete-group", action="append", default=[], metavar="GROUP")
        password = parser.add_mutually_exclusive_group()
        password.add_argument("--password", help="set it; - reads it from standard input")
        password.add_argument("--renew-password", action="store_true", help="make one up")
        parser.add_argument("--renew-token", action="store_true", help="end all, make one")
        parser.add_argument(
            "--set-default-project", metavar="UUID", help="an active one that the user is in"
        )
        state.add_argument("--delete", action="store_true", help="remove one who was not accepted")
        confirmation_option(parser, "--no-confirm")
        for option in ("--invitations", "--level"):
            refuse_option(parser, option, instead="there are no invitations here")
        for option in ("--add-permission", "--delete-permission"):
            refuse_option(parser, option, instead=NO_PERMISSIONS)
        refuse_option(parser, "--sign-terms", instead="there are no terms to sign here", values=0)
        for option in ("--base-quota", "--all", "--exclude"):
            refuse_option(parser, option, instead="see project-modify --limit", values="*")

    def prepare(self, options: Options, terminal: Terminal) -> None:
        """Refuse to do nothing, ask before a user is deleted, and read the password if it comes
        from standard input."""
        changes = {name: getattr(options, name) for name in (*STATES, *CHANGES)}
        asked = [name for name, value in changes.items() if value not in (None, False, [])]
        if options.admin is not None:
            asked.append("admin")
        if options.delete and asked:
            raise BadRequest("A user who is deleted cannot be changed too")
        if options.delete:
            ask(options, terminal, f"Delete user {options.user}")
        elif not asked:
            raise BadRequest("No change is asked for: see --help")
        options.password = terminal.secret(options.password)

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Change the user, tell what was done, show new secrets."""
        if options.delete:
            gone = await app.identity.users.delete(options.user)
            out.note(f"User {gone.uuid} ({gone.email}) was deleted")
            return
        changed = await app.identity.users.modify(options.user, await _changes(app, options))
        out.note(f"User {changed.user.uuid}: {status(changed.user)}")
        if changed.password is not None:
            out.hide(changed.password)
            out.record([("Password", changed.password)], title="Password")
        if changed.token is not None:
            out.hide(changed.token.secret)
            out.record([("Token", changed.token.secret)], title="Token")


async def _changes(app: Context, options: Options) -> UserChanges:
    project = options.set_default_project
    if project is not None:
        project = (await app.identity.projects.get(project)).uuid
    state: Any = next((STATES[name] for name in STATES if getattr(options, name)), None)
    return UserChanges(
        state=state,
        reason=options.reject_reason or options.inactive_reason,
        email=options.set_email,
        is_admin=options.admin,
        add_groups=tuple(options.add_group),
        delete_groups=tuple(options.delete_group),
        password=options.password,
        renew_password=options.renew_password,
        renew_token=options.renew_token,
        default_project=project,
    )
