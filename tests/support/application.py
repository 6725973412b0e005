"""A whole application on a test's database, and commands run on it."""

from __future__ import annotations

import io
import json
import secrets
import uuid
from contextlib import asynccontextmanager
from typing import Any

from attrs import frozen
from twisted.internet import reactor

from synnefo_tx import application
from synnefo_tx.application import Application, Edges
from synnefo_tx.cli.command import Terminal
from synnefo_tx.cli.output import Output
from synnefo_tx.cli.registry import COMMANDS
from synnefo_tx.cli.runner import execute, parse
from synnefo_tx.db.pool import Database
from synnefo_tx.settings import Settings
from tests.support.accounts import IN_PLACE
from tests.support.database import DatabaseTestCase
from tests.support.keyring import fixed_keyring


def no_cluster(endpoint):
    """Reach no cluster."""
    raise AssertionError(f"nothing should call {endpoint.name}")


def build(
    database: Database, settings: Settings | None = None, agent_for=no_cluster
) -> Application:
    """The application, with hashing in place and no clusters unless an agent is given."""
    edges = Edges(
        clock=reactor,
        entropy=secrets.token_bytes,
        new_id=lambda: str(uuid.uuid4()),
        agent_for=agent_for,
        threads=IN_PLACE,
    )
    return application.build(settings or Settings(), database, fixed_keyring(), edges)


@frozen
class Ran:
    """What a command left: its exit status, and what it wrote."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class CommandTestCase(DatabaseTestCase):
    """A test with ``self.app`` and ``self.command``, which runs one."""

    async def setUp(self) -> None:
        await super().setUp()
        self.app = build(self.database)

    async def command(self, *argv: str, typed: str = "", interactive: bool = False) -> Ran:
        """Run ``snf-manage`` with arguments; ``typed`` is what standard input gives, which is a
        terminal if ``interactive``."""
        stdout, stderr = io.StringIO(), io.StringIO()
        options = parse(COMMANDS, argv)
        terminal = Terminal(io.StringIO(typed).readline, lambda: interactive, "tester")
        quiet = not options.verbosity
        out = Output(stdout, stderr, options.output_format, quiet=quiet)
        status = await execute(options, terminal, self._open, Settings(), reactor, out)
        return Ran(status, stdout.getvalue(), stderr.getvalue())

    async def records(self, *argv: str) -> Any:
        """What a command that must succeed says as JSON."""
        ran = await self.command(*argv, "--output-format", "json")
        self.assertEqual(ran.status, 0, ran.err)
        return json.loads(ran.out)

    async def refusal(self, *argv: str, typed: str = "", interactive: bool = False) -> str:
        """The one line that a command says which must fail and say nothing else."""
        ran = await self.command(*argv, typed=typed, interactive=interactive)
        self.assertEqual((ran.status, ran.out), (1, ""), ran.err)
        self.assertNotIn("unexpected", ran.err)
        return ran.err.splitlines()[-1]

    @asynccontextmanager
    async def _open(self, settings, reactor, *, needs_schema):
        yield self.app
