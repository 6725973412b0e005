"""Settings: frozen groups, read once from TOML and the environment, then passed as values.

One module per part of the program holds its groups; ``field`` says what a field is, ``reading``
where values come from. Every field carries a help text, its unit and, where the original had the
setting, its name there; ``docs/settings.md`` is generated from them.
"""

from __future__ import annotations

from synnefo_tx.settings.changes import Changes
from synnefo_tx.settings.compute import Compute
from synnefo_tx.settings.console import Console
from synnefo_tx.settings.database import DatabaseSettings
from synnefo_tx.settings.field import SettingsError, bounds_of, is_within, unit_of
from synnefo_tx.settings.ganeti import BrokerSettings, Eventd, Ganeti
from synnefo_tx.settings.groups import DEFAULT_HOME, Settings, groups
from synnefo_tx.settings.http import Http
from synnefo_tx.settings.identity import Identity
from synnefo_tx.settings.keyring import KeyringSettings
from synnefo_tx.settings.mail import MailSettings
from synnefo_tx.settings.operation import Commands, Demo, Journal, Log
from synnefo_tx.settings.outbound import Outbound
from synnefo_tx.settings.rates import Rates
from synnefo_tx.settings.reading import SYSTEM_FILE, load
from synnefo_tx.settings.threads import Threads

__all__ = [
    "DEFAULT_HOME",
    "SYSTEM_FILE",
    "BrokerSettings",
    "Changes",
    "Commands",
    "Compute",
    "Console",
    "DatabaseSettings",
    "Demo",
    "Eventd",
    "Ganeti",
    "Http",
    "Identity",
    "Journal",
    "KeyringSettings",
    "Log",
    "MailSettings",
    "Outbound",
    "Rates",
    "Settings",
    "SettingsError",
    "Threads",
    "bounds_of",
    "groups",
    "is_within",
    "load",
    "unit_of",
]
