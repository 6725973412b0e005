"""All groups together: the settings of one process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

from attrs import Factory, fields, frozen

from synnefo_tx.settings.changes import Changes
from synnefo_tx.settings.compute import Compute
from synnefo_tx.settings.console import Console
from synnefo_tx.settings.database import DatabaseSettings
from synnefo_tx.settings.ganeti import BrokerSettings, Eventd, Ganeti
from synnefo_tx.settings.http import Http
from synnefo_tx.settings.identity import Identity
from synnefo_tx.settings.keyring import KeyringSettings
from synnefo_tx.settings.mail import MailSettings
from synnefo_tx.settings.operation import Commands, Demo, Journal, Log
from synnefo_tx.settings.outbound import Outbound
from synnefo_tx.settings.rates import Rates
from synnefo_tx.settings.threads import Threads

DEFAULT_HOME = Path("/var/lib/synnefo")


@frozen(kw_only=True)
class Settings:
    """All settings of one process; ``home`` is SYNNEFO_HOME."""

    home: Path = DEFAULT_HOME
    http: Http = Factory(Http)
    rates: Rates = Factory(Rates)
    console: Console = Factory(Console)
    database: DatabaseSettings = Factory(DatabaseSettings)
    keyring: KeyringSettings = Factory(KeyringSettings)
    identity: Identity = Factory(Identity)
    compute: Compute = Factory(Compute)
    changes: Changes = Factory(Changes)
    ganeti: Ganeti = Factory(Ganeti)
    broker: BrokerSettings = Factory(BrokerSettings)
    eventd: Eventd = Factory(Eventd)
    demo: Demo = Factory(Demo)
    commands: Commands = Factory(Commands)
    journal: Journal = Factory(Journal)
    mail: MailSettings = Factory(MailSettings)
    outbound: Outbound = Factory(Outbound)
    threads: Threads = Factory(Threads)
    log: Log = Factory(Log)

    @property
    def site_url(self) -> str:
        """The site's URL without a final slash."""
        if self.http.base_url:
            return self.http.base_url.rstrip("/")
        scheme = "https" if self.http.tls_certificate else "http"
        return f"{scheme}://{self.http.host}:{self.http.port}"

    @property
    def console_url(self) -> str:
        """What every console ticket's URL begins with, without a final slash."""
        if self.console.public_url:
            return self.console.public_url.rstrip("/")
        return f"wss://{self.console.host}:{self.console.port}/console"


def groups() -> dict[str, type[Any]]:
    """The name and class of every group."""
    hints = get_type_hints(Settings)
    return {each.name: hints[each.name] for each in fields(Settings) if each.name != "home"}
