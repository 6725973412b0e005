"""Generated pages: ``python -m tests.support.reference`` writes them, tests compare them."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from attrs import fields
from twisted.internet import reactor

from synnefo_tx.cli.command import Command
from synnefo_tx.cli.listing import ListCommand
from synnefo_tx.cli.registry import COMMANDS
from synnefo_tx.db.pool import Database, PoolLimits
from synnefo_tx.rest.endpoint import JSON, Endpoint
from synnefo_tx.rest.routing import Mounted
from synnefo_tx.settings import bounds_of, groups, unit_of
from tests.support.application import build

ROOT = Path(__file__).parent.parent.parent


ENDPOINT_COLUMNS = (
    *("method", "path", "action", "ways", "body", "status", "rate", "idempotent", "journal"),
    *("XML", "what it does"),
)


def settings_reference() -> str:
    """docs/settings.md, from the fields of the settings."""
    lines = [
        "# Settings",
        "",
        "Written from the code by `python -m tests.support.reference`. A setting is in the file",
        "as `field` below `[group]`, in the environment as `SYNNEFO_<GROUP>__<FIELD>`.",
    ]
    for name, group in groups().items():
        lines += [
            "",
            f"## {name}",
            "",
            "| field | default | unit | must be | meaning | in the original |",
            "|---|---|---|---|---|---|",
        ]
        for each in fields(group):
            default = each.default
            shown = ", ".join(map(str, default)) if isinstance(default, tuple) else str(default)
            help = each.metadata["help"]
            unit, original = unit_of(each), each.metadata["original"]
            bounds = bounds_of(each) if unit else ""
            parts = (f"`{each.name}`", f"`{shown}`", unit, bounds, help, original)
            lines.append(f"| {' | '.join(parts)} |")
    return "\n".join(lines) + "\n"


def commands_reference(commands: Sequence[type[Command]]) -> str:
    """docs/commands.md, from the commands and what they declare."""
    lines = [
        "# Commands",
        "",
        "Written from the code by `python -m tests.support.reference`. `snf-manage COMMAND --help`",
        "explains the options. All commands take `--config FILE`, `--output-format",
        "pretty|csv|json`, `--verbosity 0|1|2|3` and `--traceback`; all lists `--output FIELDS`,",
        '`--list-fields`, `--filter-by "key>=value,key2!=value"`, `--list-filters` and',
        "`--no-headers`. They work while the service runs, and without it. The status is 0 when",
        "everything asked for was done, 2 for wrong use, else 1 with one line on standard error",
        "that says why. Runs of commands that change something are kept, with what was said but",
        "no secret, in `$SYNNEFO_HOME/log/commands`. `snf-manage completion bash` (or `zsh`)",
        "prints what a shell needs to complete commands and options.",
        "",
        "| command | arguments | what it does |",
        "|---|---|---|",
    ]
    for kind in sorted(commands, key=lambda each: each.name):
        about = " ".join((kind.__doc__ or "").split())
        lines.append(f"| `{kind.name}` | {_arguments(kind)} | {_cell(about)} |")
    return "\n".join(lines) + "\n"


def _arguments(kind: type[Command]) -> str:
    parser = argparse.ArgumentParser(add_help=False)
    kind().arguments(parser)
    shared = argparse.ArgumentParser(add_help=False)
    if issubclass(kind, ListCommand):
        ListCommand.arguments(ListCommand(), shared)
    known = {each.dest for each in shared._actions}
    shown = [
        _argument(each)
        for each in parser._actions
        if each.dest not in known and each.help != argparse.SUPPRESS
    ]
    return " ".join(f"`{_cell(each)}`" for each in shown)


def _argument(action: argparse.Action) -> str:
    choices = "|".join(map(str, action.choices)) if action.choices else ""
    metavar = action.metavar or choices or action.dest.upper()
    if isinstance(metavar, tuple):
        metavar = " ".join(metavar)
    more = "…" if action.nargs == "+" else ""
    if not action.option_strings:
        return f"{metavar}{more}"
    option = "/".join(action.option_strings)
    text = option if action.nargs == 0 else f"{option} {metavar}"
    return text if action.required else f"[{text}]"


def endpoints_reference(mounted: Sequence[Mounted]) -> str:
    """docs/endpoints.md, from the records of all endpoints."""
    lines = [
        "# Endpoints",
        "",
        "Written from the code by `python -m tests.support.reference`. What the columns mean, and",
        "what holds for every request, is in [requests](requests.md).",
        "",
        f"| {' | '.join(ENDPOINT_COLUMNS)} |",
        "|---" * len(ENDPOINT_COLUMNS) + "|",
    ]
    for each in sorted(mounted, key=lambda each: (each.path, each.endpoint.method)):
        record = each.endpoint
        cells = (
            record.method, f"`{each.path}`", record.action, ", ".join(record.ways), _body(record),
            str(record.status), record.rate, "key" if record.idempotent else "", record.journal,
            "XML" if record.xml else "", record.summary,
        )  # fmt: skip
        lines.append("| " + " | ".join(map(_cell, cells)) + " |")
    return "\n".join(lines) + "\n"


def _body(record: Endpoint) -> str:
    if record.streamed_max_bytes is not None:
        return f"in pieces, at most {record.streamed_max_bytes} B"
    if record.body is None:
        return ""
    name = getattr(record.body, "__name__", str(record.body))
    kinds = "" if record.request_types == (JSON,) else f" ({', '.join(record.request_types)})"
    return name + kinds + (" or none" if record.empty_body_allowed else "")


def mounted_endpoints() -> list[Mounted]:
    """Every endpoint of the application; no database is asked."""
    return build(Database(None, reactor, PoolLimits())).site.mounted


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Write every generated page."""
    commands = commands_reference(COMMANDS)
    (ROOT / "docs" / "commands.md").write_text(commands, encoding="utf-8")
    endpoints = endpoints_reference(mounted_endpoints())
    (ROOT / "docs" / "endpoints.md").write_text(endpoints, encoding="utf-8")
    (ROOT / "docs" / "settings.md").write_text(settings_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
