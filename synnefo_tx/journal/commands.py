"""Commands about the journal."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from synnefo_tx.caller import OPERATOR
from synnefo_tx.cli.command import Options
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand, itself
from synnefo_tx.faults import BadRequest
from synnefo_tx.journal import acting
from synnefo_tx.journal.model import Entry, Scope

LIMIT = 1000
LIMIT_MAX = 100_000


class JournalList(ListCommand):
    """List who did what, when, and what came of it; the newest first."""

    name = "journal-list"
    stored = {"": (Entry, itself)}
    user_field = "owner"
    project_field = "project"
    fields = {
        "id": Field(lambda entry: entry.id, "number of the entry"),
        "at": Field(lambda entry: entry.at, "when it was done or begun"),
        "actor": Field(lambda entry: entry.actor, "a user's uuid, operator:LOGIN or system"),
        "remote": Field(lambda entry: entry.remote, "the address that the request came from"),
        "action": Field(lambda entry: entry.action, "what was done"),
        "kind": Field(lambda entry: entry.kind, "to what kind of thing"),
        "object": Field(lambda entry: entry.object, "to which of them"),
        "user.uuid": Field(lambda entry: entry.owner, "whose thing it is"),
        "project": Field(lambda entry: entry.project, "the project of the thing"),
        "details": Field(lambda entry: entry.details, "further words"),
        "request": Field(lambda entry: entry.request, "the request's id, or the command's log"),
        "operation": Field(lambda entry: entry.operation, "intent of the job that was begun"),
        "result": Field(lambda entry: entry.result, "what came of it; nothing while it goes on"),
        "ended": Field(lambda entry: entry.ended, "when it ended"),
        "error": Field(lambda entry: entry.error, "what a failed job said"),
    }
    default_fields = ("at", "actor", "action", "object", "details", "result", "ended", "request")

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        parser.add_argument("--server", type=int, metavar="ID", help="only what this one met")
        parser.add_argument("--actor", help="only what they did: a user, operator:LOGIN or system")
        parser.add_argument(
            "--limit", type=int, default=LIMIT, metavar="NUMBER",
            help="show so many entries at most, the newest; --filter-by looks at these alone",
        )  # fmt: skip
        parser.add_argument("--before", type=int, metavar="ID", help="only entries before it")

    async def rows(self, app: Context, options: Options) -> Sequence[Entry]:
        """The newest entries of what is asked for."""
        if not 1 <= options.limit <= LIMIT_MAX:
            raise BadRequest(f"--limit must be between 1 and {LIMIT_MAX}")
        server = options.server
        scope = Scope(
            kind=None if server is None else "server",
            object=None if server is None else str(server),
            before=options.before,
            owner=(await app.identity.users.get(options.user)).uuid if options.user else None,
            actor=await self._actor(app, options.actor) if options.actor else None,
            project=(
                (await app.identity.projects.get(options.project)).uuid if options.project else None
            ),
        )
        return await app.journal.page(OPERATOR, scope, options.limit)

    async def _actor(self, app: Context, named: str) -> str:
        """Who acts, as the journal has it; raises ItemNotFound for a user that is none."""
        if named == acting.SYSTEM or named.startswith(acting.OPERATOR):
            return named
        return (await app.identity.users.get(named)).uuid
