"""Commands about the database's schema."""

from __future__ import annotations

from typing import ClassVar

from synnefo_tx.cli.command import Command, Options
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output
from synnefo_tx.db.migrate import migrate


class DbMigrate(Command):
    """Bring the database's schema to this program's version."""

    name = "db-migrate"
    needs_schema: ClassVar[bool] = False

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Apply what is missing and list it."""
        applied = await migrate(app.database)
        if not applied:
            out.note("The schema is up to date")
        out.table(
            ("component", "number", "name"),
            [(each.component, f"{each.number:04}", each.name) for each in applied],
        )
