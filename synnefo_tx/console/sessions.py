"""The live consoles of this process: how many there may be, and which of them must end.

How many a user and a server may have counts over all processes, see ``places``.
"""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from synnefo_tx.console.model import (
    ConsoleLimits,
    ConsoleTargets,
    Refusal,
    Target,
    bad_ticket,
    too_many,
    unreachable,
)

VERIFY_LIMIT_SECONDS = 2.0


class LiveSession(Protocol):
    """A console that has a target."""

    @property
    def target(self) -> Target:
        """What it shows."""

    def end(self, refusal: Refusal) -> None:
        """Close it with this code and reason; must come back to ``Sessions.remove``."""


class Sessions:
    """The registry of live consoles."""

    def __init__(self, limits: ConsoleLimits) -> None:
        self._limits = limits
        self._live: dict[str, LiveSession] = {}

    def __len__(self) -> int:
        return len(self._live)

    def targets(self) -> list[Target]:
        """The targets of all live consoles."""
        return [each.target for each in self._live.values()]

    def add(self, session: LiveSession) -> Refusal | None:
        """Count the session in, or say why not."""
        target = session.target
        if target.session_key in self._live:
            return bad_ticket()
        if len(self._live) >= self._limits.sessions:
            return too_many("too many consoles are open")
        self._live[target.session_key] = session
        return None

    def remove(self, session: LiveSession) -> None:
        """Count the session out; harmless when it is not in."""
        key = session.target.session_key
        if self._live.get(key) is session:
            del self._live[key]

    def end(
        self,
        refusal: Refusal,
        *,
        server_id: int | None = None,
        user_uuid: str | None = None,
        session_key: str | None = None,
    ) -> int:
        """End every session that matches all that is given; returns how many that were."""
        chosen = [
            session
            for key, session in self._live.items()
            if session_key in (None, key)
            and server_id in (None, session.target.server_id)
            and user_uuid in (None, session.target.user_uuid)
        ]
        for session in chosen:
            session.end(refusal)
        return len(chosen)


class SessionCheck:
    """Asks whether the live consoles may go on, and ends those that may not.

    Fails closed: when nobody can tell for ``unchecked_seconds``, all end.
    """

    log = Logger()

    def __init__(
        self,
        sessions: Sessions,
        targets: ConsoleTargets,
        limits: ConsoleLimits,
        clock: IReactorTime,
    ) -> None:
        self._sessions = sessions
        self._targets = targets
        self._limits = limits
        self._clock = clock
        self._checked_at: float | None = None

    async def check(self) -> None:
        """One look at all sessions, by one question; raises nothing."""
        started = self._clock.seconds()
        live = self._sessions.targets()
        if not live:
            self._checked_at = None
            return
        if self._checked_at is None:
            self._checked_at = started
        asking = Deferred.fromCoroutine(self._targets.verify(live))
        try:
            refusals = await asking.addTimeout(VERIFY_LIMIT_SECONDS, self._clock)
        except Exception:
            self.log.failure("{count} consoles could not be checked", count=len(live))
            self._fail_closed()
            return
        self._checked_at = started
        for key, refusal in refusals.items():
            self._sessions.end(refusal, session_key=key)

    def _fail_closed(self) -> None:
        assert self._checked_at is not None
        if self._clock.seconds() - self._checked_at >= self._limits.unchecked_seconds:
            self._sessions.end(unreachable("the console's rights could not be checked"))
