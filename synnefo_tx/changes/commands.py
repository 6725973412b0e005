"""Commands about the stream of changes."""

from __future__ import annotations

import argparse

from synnefo_tx.cli.command import Command, Options
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output


class StreamReset(Command):
    """Have all who follow the stream of changes list anew, as after a restore of the database."""

    name = "stream-reset"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """There are none."""

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Begin another epoch and say which."""
        out.note(f"Epoch {await app.changes.epochs.reset()} begins: clients list anew")
