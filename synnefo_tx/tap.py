"""``twistd synnefo``: options, and the service they ask for."""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.application.service import IService
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from synnefo_tx import settings
from synnefo_tx.service import ROLES, CloudService


class Options(UsageOptions):
    """Options of ``twistd synnefo``."""

    optParameters = [
        ["config", "c", None, "Settings file; else SYNNEFO_CONFIG, else synnefo.toml at home"],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["roles"] = []

    def opt_role(self, role: str) -> None:
        """Do only this: api, events, console or timers. Repeatable; default: all."""
        if role not in ROLES:
            raise UsageError(f"--role must be one of {', '.join(ROLES)}")
        self["roles"].append(role)

    def postOptions(self) -> None:
        self["roles"] = self["roles"] or list(ROLES)


def makeService(options: Any, reactor: Any = None) -> IService:
    """The service of this process. A settings error ends it with one line."""
    if reactor is None:
        from twisted.internet import reactor
    try:
        loaded = settings.load(os.environ, options["config"])
    except settings.SettingsError as error:
        sys.exit(f"synnefo: {error}")
    return CloudService(loaded, options["roles"], reactor)
