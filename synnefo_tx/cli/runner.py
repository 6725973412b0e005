"""``snf-manage COMMAND``: parses, opens, runs, reports; one reactor run per command.

Whatever goes wrong is one line on standard error and an exit status other than 0.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, ExitStack, contextmanager
from datetime import datetime
from importlib.metadata import version
from typing import Any, TextIO

from attrs import evolve
from twisted.internet.task import react
from twisted.logger import globalLogBeginner

from synnefo_tx import settings
from synnefo_tx.cli import audit
from synnefo_tx.cli.command import Command, Options, StandaloneCommand, Terminal, refuse_option
from synnefo_tx.cli.context import Context, opened
from synnefo_tx.cli.output import FORMATS, Output
from synnefo_tx.cli.privileges import drop, login_name
from synnefo_tx.cli.registry import COMMANDS
from synnefo_tx.db.embedded import EmbeddedError
from synnefo_tx.db.migrate import SchemaError
from synnefo_tx.faults import Fault
from synnefo_tx.ganeti.model import RapiFailure
from synnefo_tx.journal.acting import acting, operator
from synnefo_tx.keyring.model import KeyringError
from synnefo_tx.log import observer, request_id
from synnefo_tx.settings import Settings, SettingsError
from synnefo_tx.starting import CannotStart, make_home

KNOWN_ERRORS = (
    KeyringError,
    Fault,
    RapiFailure,
    SettingsError,
    SchemaError,
    EmbeddedError,
    CannotStart,
    OSError,
)
FAILED = 1
LEVELS = {2: "warn", 3: "debug"}

Open = Callable[..., AbstractAsyncContextManager[Context]]


def parser_of(commands: Sequence[type[Command]]) -> argparse.ArgumentParser:
    """The parser of all commands; the chosen one is ``options.command``."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", help="settings file; else SYNNEFO_CONFIG, else at home")
    common.add_argument("--output-format", choices=FORMATS, default="pretty")
    common.add_argument("--traceback", action="store_true", help="show where an error arose")
    common.add_argument(
        "-v", "--verbosity", type=int, choices=range(4), default=1,
        help="0 errors only, 1 notes too, 2 warnings of the program, 3 all that it logs",
    )  # fmt: skip
    common.add_argument("--version", action="version", version=version("synnefo-tx"))
    refuse_option(common, "--settings", instead="settings are in a file, see --config")
    refuse_option(common, "--pythonpath", instead="the program needs no path, see --config")
    parser = argparse.ArgumentParser(prog="snf-manage", description="Manage the cloud.")
    parser.add_argument("--version", action="version", version=version("synnefo-tx"))
    parsers = parser.add_subparsers(metavar="COMMAND", required=True)
    for kind in sorted(commands, key=lambda each: each.name):
        command = kind()
        about = (kind.__doc__ or "").strip()
        each = parsers.add_parser(
            kind.name, parents=[common], help=about.splitlines()[0], description=about
        )
        command.arguments(each)
        each.set_defaults(command=command, parser=parser)
    return parser


def parse(commands: Sequence[type[Command]], argv: Sequence[str]) -> Options:
    """The options of ``argv``; ends with SystemExit for what no command takes.

    Where it begins with a command only the parser of that one is made: all take a tenth of a
    second.
    """
    first = list(argv[:1])
    named = [each for each in commands if [each.name] == first and not each.tells_of_others]
    return parser_of(named or commands).parse_args(argv)


async def execute(
    options: Options,
    terminal: Terminal,
    open_application: Open,
    loaded: Settings,
    reactor: Any,
    out: Output,
) -> int:
    """Run the chosen command; the exit status. What a failing one has said is written too."""
    command: Command = options.command
    before = acting.set(operator(terminal.login))
    try:
        command.prepare(options, terminal)
        if isinstance(command, StandaloneCommand):
            command.write(options, out)
            return 0
        async with open_application(loaded, reactor, needs_schema=command.needs_schema) as app:
            try:
                await command.run(app, options, out)
            finally:
                out.finish()
    except Exception as error:
        _report(command, error, options, out)
        return FAILED
    finally:
        acting.reset(before)
    return 0


def _report(command: Command, error: Exception, options: Options, out: Output) -> None:
    known = isinstance(error, KNOWN_ERRORS)
    text = " ".join(str(error).split()) or type(error).__name__
    if not known:
        text = f"unexpected {type(error).__name__}: {text} (see --traceback)"
    out.error(f"snf-manage {command.name}: {text}")
    if options.traceback:
        for line in traceback.format_exception(error):
            out.errors.write(line)


def _begin_logging(verbosity: int) -> None:
    observers = [observer(sys.stderr, LEVELS[verbosity])] if verbosity in LEVELS else []
    globalLogBeginner.beginLoggingTo(observers, discardBuffer=True, redirectStandardIO=False)


@contextmanager
def _audited(loaded: Settings, options: Options, argv: Sequence[str]) -> Iterator[TextIO | None]:
    command: Command = options.command
    standalone = isinstance(command, StandaloneCommand)
    if standalone or not audit.is_logged(command.name, loaded.commands.not_logged):
        yield None
        return
    make_home(loaded.home)
    now = datetime.now().astimezone()
    path = audit.path_of(loaded.home, command.name, now, os.getpid())
    # What the journal says of this run leads to its log.
    request_id.set(f"command-{path.stem}")
    secrets = {getattr(options, name, None) for name in command.secret_options}
    with audit.opened(path, audit.masked(argv, {each for each in secrets if each})) as stream:
        yield stream


def main() -> None:
    """The program ``snf-manage``; ends with SystemExit."""
    argv = sys.argv[1:]
    options = parse(COMMANDS, argv)
    _begin_logging(options.verbosity)
    plain = Output(sys.stdout, sys.stderr, options.output_format, quiet=not options.verbosity)
    with ExitStack() as stack:
        try:
            loaded = settings.load(os.environ, options.config)
            login = login_name(os.environ)
            drop(loaded.commands.user, loaded.commands.group)
            stream = stack.enter_context(_audited(loaded, options, argv))
        except KNOWN_ERRORS as error:
            _report(options.command, error, options, plain)
            sys.exit(FAILED)
        secret = options.command.shows_secrets
        out = evolve(plain, audit=stream, audits_errors_only=secret)

        async def run(reactor: Any) -> None:
            terminal = Terminal(login=login)
            raise SystemExit(await execute(options, terminal, opened, loaded, reactor, out))

        react(run)
