"""What a command of ``snf-manage`` is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import ClassVar

from attrs import frozen

from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output
from synnefo_tx.faults import BadRequest

Options = argparse.Namespace
TRUE, FALSE = ("yes", "true", "t", "1"), ("no", "false", "f", "0")


@frozen
class Terminal:
    """Where a command reads from before it runs."""

    read_line: Callable[[], str] = sys.stdin.readline

    def secret(self, given: str | None) -> str | None:
        """A secret from the command line, or from standard input for ``-``."""
        return self.read_line().rstrip("\n") if given == "-" else given

    def confirm(self, question: str) -> None:
        """Raise BadRequest unless the operator answers yes."""
        sys.stderr.write(f"{question} [y/N] ")
        sys.stderr.flush()
        if self.read_line().strip().lower() not in ("y", "yes"):
            raise BadRequest("Nothing was done")


class Command:
    """A command: its docstring is its help; options are added by ``arguments``.

    ``prepare`` may ask the operator, before anything is opened; ``run`` does the work.
    """

    name: ClassVar[str]
    needs_schema: ClassVar[bool] = True

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""

    def prepare(self, options: Options, terminal: Terminal) -> None:
        """Read what is to come from the terminal; raises BadRequest."""

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Do it; raises Fault."""
        raise TypeError(f"{type(self).__name__} does not say what it does")


def boolean(text: str) -> bool:
    """A truth value as operators write it; for argparse."""
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
