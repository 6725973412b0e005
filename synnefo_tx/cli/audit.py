"""The audit log of commands: who was told to do what, and what came of it (identity reference §5,
I-157).

One file per run below ``$SYNNEFO_HOME/log/commands``, readable by its owner alone. What options of
secrets hold, and secrets that were made, are left out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

from synnefo_tx.cli.output import MASK, harmless
from synnefo_tx.settings import SettingsError


def is_logged(command: str, not_logged: str) -> bool:
    """Whether runs of a command are logged: not if it matches. Raises SettingsError."""
    try:
        return not (not_logged and re.search(not_logged, command))
    except re.error as error:
        raise SettingsError(f"commands.not_logged is no regular expression: {error}") from None


def masked(argv: Sequence[str], secrets: Collection[str]) -> list[str]:
    """Arguments with asterisks for ``secrets``, given alone or behind an equals sign."""
    shown = []
    for each in argv:
        option, equals, value = each.partition("=")
        if each in secrets:
            shown.append(MASK)
        elif equals and value in secrets:
            shown.append(f"{option}={MASK}")
        else:
            shown.append(each)
    return shown


def path_of(home: Path, command: str, now: datetime, pid: int) -> Path:
    """The log of one run."""
    return home / "log" / "commands" / f"{now:%y%m%d%H%M%S}_{command}_{pid}.log"


@contextmanager
def opened(path: Path, argv: Sequence[str]) -> Iterator[TextIO]:
    """A new log of a run, begun with its arguments; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", buffering=1) as stream:
        stream.write(f"arguments: {' '.join(harmless(repr(each)) for each in argv)}\n")
        yield stream
