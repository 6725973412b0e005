"""The console as a service: everything of it built from the settings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.application.service import MultiService

from synnefo_tx.console.admission import allowed_origins
from synnefo_tx.console.certificate import self_signed, tls_options
from synnefo_tx.console.listener import ConsoleListener
from synnefo_tx.console.model import ConsoleLimits, ConsoleTargets
from synnefo_tx.console.proxy import ConsoleFactory
from synnefo_tx.console.session import Surroundings
from synnefo_tx.console.sessions import SessionCheck, Sessions
from synnefo_tx.settings import Console, Settings, SettingsError
from synnefo_tx.timers import Periodic


class ConsoleService(MultiService):
    """Listens for browsers and looks after their consoles; ``sessions`` are the live ones."""

    def __init__(self, sessions: Sessions, listener: ConsoleListener, checking: Periodic) -> None:
        super().__init__()
        self.sessions = sessions
        self.listener = listener
        for part in (listener, checking):
            part.setServiceParent(self)


def build(
    reactor: Any,
    settings: Settings,
    targets: ConsoleTargets,
    random_bytes: Callable[[int], bytes],
    now: datetime,
    descriptor: int | None = None,
) -> ConsoleService:
    """The console of one process, on the listening socket ``descriptor`` if it has one already.

    Without a certificate in the settings one is made below ``settings.home / "tls"``. Raises
    SettingsError when certificate, port range or an Origin cannot be used.
    """
    console = settings.console
    limits = _limits(console)
    sessions = Sessions(limits)
    surroundings = Surroundings(reactor, targets, sessions, limits, random_bytes)
    try:
        origins = allowed_origins(
            settings.site_url, settings.http.port, console.port, console.allowed_origins
        )
        tls = tls_options(*_certificate(settings, now))
    except (OSError, ValueError) as error:
        raise SettingsError(f"console: {error}") from error
    listener = ConsoleListener(
        reactor, ConsoleFactory(surroundings, origins), console.host, console.port, tls, descriptor
    )
    check = SessionCheck(sessions, targets, limits, reactor)
    checking = Periodic("console sessions", limits.check_seconds, check.check, reactor)
    return ConsoleService(sessions, listener, checking)


def _limits(console: Console) -> ConsoleLimits:
    if len(console.screen_ports) != 2:
        raise SettingsError("console.screen_ports must be the first and the last port")
    first, last = console.screen_ports
    return ConsoleLimits(
        sessions=console.sessions_max,
        connections=2 * console.sessions_max,
        connect_seconds=console.connect_limit_seconds,
        greeting_seconds=console.connect_limit_seconds,
        screen_ports=(first, last),
    )


def _certificate(settings: Settings, now: datetime) -> tuple[Path, Path]:
    console = settings.console
    if console.tls_certificate:
        return Path(console.tls_certificate), Path(console.tls_key or console.tls_certificate)
    names = {urlsplit(settings.console_url).hostname or console.host, console.host}
    return self_signed(settings.home / "tls", names, now)
