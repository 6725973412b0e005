"""``twistd synnefo``: options, and the service they ask for."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from twisted.application.service import IService
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from synnefo_tx import settings
from synnefo_tx.service import ROLES, CloudService
from synnefo_tx.starting import steady_reactor
from synnefo_tx.supervisor import Supervisor

WORKERS_MAX = 64
COUNT = f"a whole number from 1 to {WORKERS_MAX}"


class Options(UsageOptions):
    """Options of ``twistd synnefo``."""

    optParameters = [
        ["config", "c", None, "Settings file; else SYNNEFO_CONFIG, else synnefo.toml at home"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["roles"] = []
        self["workers"] = None

    def opt_role(self, role: str) -> None:
        """Do only this: api, events, console or timers. Repeatable; default: all."""
        if role not in ROLES:
            raise UsageError(f"--role must be one of {', '.join(ROLES)}")
        self["roles"].append(role)

    def opt_workers(self, count: str) -> None:
        """Serve the API by this many processes; default: http.workers of the settings."""
        if not (count.isascii() and count.isdigit() and 1 <= int(count) <= WORKERS_MAX):
            raise UsageError(f"--workers must be {COUNT}, not {count!r}")
        self["workers"] = int(count)

    def postOptions(self) -> None:
        self["roles"] = self["roles"] or list(ROLES)
        if self["workers"] is not None and "api" not in self["roles"]:
            raise UsageError("--workers is for the role api, which is not asked for")


def makeService(options: Any, reactor: Any = None) -> IService:
    """The service of this process. A settings error ends it with one line."""
    if reactor is None:
        reactor = steady_reactor()
    try:
        loaded = settings.load(os.environ, options["config"])
    except settings.SettingsError as error:
        sys.exit(f"synnefo: {error}")
    if not 1 <= loaded.http.workers <= WORKERS_MAX:
        sys.exit(f"synnefo: http.workers must be {COUNT}, not {loaded.http.workers}")
    workers = options["workers"] or loaded.http.workers
    if workers == 1 or "api" not in options["roles"]:
        return CloudService(loaded, options["roles"], reactor)
    return Supervisor(loaded, options["roles"], workers, child_arguments(options), reactor)


def child_arguments(options: Any) -> list[str]:
    """How the command line of each process below this one begins: it logs where this one does.

    Where that is not known, as from a launch file, it is ``$SYNNEFO_HOME/log/synnefo.log``.
    """
    parent = options.parent
    logging = ["--logger", "synnefo_tx.log.synnefo_file"]
    if parent is not None:
        if parent["syslog"]:
            logging = ["--syslog", "--prefix", parent["prefix"]]
        elif parent["logger"]:
            observer = parent["logger"]  # twistd has looked its name up already
            logging = ["--logger", f"{observer.__module__}.{observer.__qualname__}"]
        elif parent["nodaemon"] and not parent["logfile"]:
            logging = ["--logfile", "-"]
    program = [sys.executable, str(Path(sys.executable).with_name("twistd")), "-n", "--pidfile="]
    config = ["--config", str(Path(options["config"]).absolute())] if options["config"] else []
    return [*program, *logging, "synnefo-worker", *config]
