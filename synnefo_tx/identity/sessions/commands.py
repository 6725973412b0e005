"""Commands about sessions: what operators see and end (ASVS 7.4.3, 7.4.5)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from synnefo_tx.cli.command import Command, Options, each_of
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand, itself
from synnefo_tx.cli.output import Output
from synnefo_tx.faults import BadRequest
from synnefo_tx.identity.sessions.model import Session
from synnefo_tx.identity.sessions.rules import number_of


class SessionList(ListCommand):
    """List browsers in which users are signed in."""

    name = "session-list"
    stored = {"": (Session, itself)}
    user_field = "user"
    fields = {
        "id": Field(lambda session: session.id, "number of the session"),
        "user": Field(lambda session: session.user, "uuid of the user"),
        "created": Field(lambda session: session.created, "when the user signed in"),
        "last_used": Field(lambda session: session.last_used, "last request, within a minute"),
        "address": Field(lambda session: session.address, "address at the sign-in"),
        "browser": Field(lambda session: session.browser, "what the browser says it is"),
    }
    default_fields = ("id", "user", "created", "last_used", "address")

    async def rows(self, app: Context, options: Options) -> Sequence[Session]:
        """All sessions, the last used first."""
        return await app.identity.sessions.list_all()


class SessionEnd(Command):
    """Sign users out: single browsers, or all of one user; within a second everywhere."""

    name = "session-end"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""
        parser.add_argument("session", metavar="ID", nargs="*")
        parser.add_argument("-u", "--user", help="all browsers of this user (uuid or e-mail)")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """End them and tell how many."""
        if bool(options.session) == bool(options.user):
            raise BadRequest("Give the numbers of sessions, or --user")
        sessions = app.identity.sessions
        if options.user:
            user = await app.identity.users.get(options.user)
            out.note(f"{await sessions.end_all(user.uuid)} sessions of {user.email} were ended")
            return
        await each_of(options.session, out, lambda id: sessions.end(number_of(id)))
