"""What a command of ``snf-manage`` is."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from attrs import frozen

from synnefo_tx.cli.context import Context
from synnefo_tx.cli.output import Output, harmless
from synnefo_tx.faults import BadRequest, Fault

Options = argparse.Namespace
DIGITS_MAX = 18
TRUE, FALSE = ("yes", "true", "t", "1"), ("no", "false", "f", "0")


@frozen
class Terminal:
    """Where a command reads from: the operator, if ``is_interactive``; and who that is."""

    read_line: Callable[[], str] = sys.stdin.readline
    is_interactive: Callable[[], bool] = sys.stdin.isatty
    login: str = ""

    def secret(self, given: str | None) -> str | None:
        """A secret from the command line, or from standard input for ``-``."""
        return self.read_line().rstrip("\n") if given == "-" else given

    def confirm(self, question: str) -> None:
        """Raise BadRequest unless an operator is there and answers yes."""
        if not self.is_interactive():
            raise BadRequest("Nothing was done: nobody is there to be asked; see --force")
        sys.stderr.write(f"{harmless(question)} [Y/N] ")
        sys.stderr.flush()
        if self.read_line().strip().lower() not in ("y", "yes"):
            raise BadRequest("Nothing was done")


class Command:
    """A command: its docstring is its help; options are added by ``arguments``.

    ``prepare`` may ask the operator, before anything is opened; ``run`` does the work. What
    ``secret_options`` hold is kept out of the audit log; if it ``shows_secrets``, all but errors.
    Only one that ``tells_of_others`` finds the parsers of all commands in its options.
    """

    name: ClassVar[str]
    needs_schema: ClassVar[bool] = True
    shows_secrets: ClassVar[bool] = False
    tells_of_others: ClassVar[bool] = False
    secret_options: ClassVar[tuple[str, ...]] = ("password",)

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments and options."""

    def prepare(self, options: Options, terminal: Terminal) -> None:
        """Read what is to come from the terminal; raises BadRequest."""

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Do it; raises Fault."""
        raise TypeError(f"{type(self).__name__} does not say what it does")


class StandaloneCommand(Command):
    """A command about the program itself: nothing is opened for it."""

    def write(self, options: Options, out: Output) -> None:
        """Do it; raises Fault."""
        raise TypeError(f"{type(self).__name__} does not say what it does")


class _Refused(argparse.Action):
    """An option of the original that is not there; its help says what there is instead."""

    def __call__(self, parser: argparse.ArgumentParser, *given: Any) -> None:
        option = given[-1] or self.option_strings[0]
        parser.error(f"{option}: {self.const}")


def refuse_option(
    parser: argparse._ActionsContainer, *names: str, instead: str, values: int | str = 1
) -> None:
    """Answer options of the original that are not there with what there is ``instead``."""
    parser.add_argument(
        *names, action=_Refused, nargs=values, const=instead, help=argparse.SUPPRESS
    )


def confirmation_option(parser: argparse.ArgumentParser, *further: str) -> None:
    """Declare that the operator is asked, and --force, which keeps that off."""
    parser.add_argument(
        "-f", "--force", *further, dest="force", action="store_true", help="do not ask"
    )


def ask(options: Options, terminal: Terminal, what: str) -> None:
    """Raise BadRequest unless the operator agrees, or --force was given."""
    if not options.force:
        terminal.confirm(f"{what}: are you sure?")


async def each_of(
    texts: Sequence[str], out: Output, *works: Callable[[str], Awaitable[object]]
) -> None:
    """Do the first of ``works`` for all, then the next for all where that one did not fail.

    Raises BadRequest in the end if some failed.
    """
    left, failed = list(dict.fromkeys(texts)), []
    for work in works:
        for text in list(left):
            try:
                await work(text)
            except Fault as error:
                left.remove(text)
                failed.append(text)
                out.error(f"{text}: {error}")
    if failed:
        raise BadRequest(f"failed for {', '.join(failed)}")


def number(text: str, prefix: str, what: str) -> int:
    """The number of a server or network, given as such or as Ganeti's name; raises BadRequest."""
    digits = text.removeprefix(prefix)
    if not (digits.isascii() and digits.isdigit()) or len(digits) > DIGITS_MAX:
        raise BadRequest(f"{text!r} is no {what}: give its number, or its name {prefix}NUMBER")
    return int(digits)


def numbers(text: str) -> list[int]:
    """Numbers with commas between; for argparse."""
    try:
        return [int(piece) for piece in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers: 1,2,4") from None


def pair(text: str) -> tuple[str, str]:
    """``key=value``; for argparse."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f"{text!r} is not key=value")
    return key, value


def boolean(text: str) -> bool:
    """A truth value as operators write it; for argparse."""
    if text.lower() in TRUE:
        return True
    if text.lower() in FALSE:
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
