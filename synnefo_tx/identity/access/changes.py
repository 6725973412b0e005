"""The one place that knows of every change of somebody's access, and passes it on.

The database itself tells of changes of users, tokens, sessions and members, whoever made them (see
the migration ``access_changes``). Caches subscribe and forget; what lives longer than a request,
streams and consoles, is watched: it is looked at again when its user changed, when its time is
over, every half a minute, and all the time while nothing can be heard. One statement looks at all
that are due. It fails closed: who cannot be looked at for five seconds has lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from synnefo_tx.caller import Caller
from synnefo_tx.db.listener import Hearing
from synnefo_tx.db.pool import Database
from synnefo_tx.identity.access.model import Standing
from synnefo_tx.identity.access.store import read_standing
from synnefo_tx.settings import Identity

CHANNEL = "access_changed"
KEPT_SECONDS = 30.0
TICK_SECONDS = 0.1
AGES_SECONDS = 1.0
DEAF_LOOK_SECONDS = 0.4
LOOK_LIMIT_SECONDS = 2.0
UNCHECKED_SECONDS = 5.0
UNCHECKED = "its rights could not be checked"

Lost = Callable[[str], None]
"""Told why the caller is let in no more; once."""
Changed = Callable[[Caller], None]
"""Told who the caller is now: other roles or projects."""


class Watch:
    """Somebody who is let in for longer than a request; ``end`` it with what it was for."""

    def __init__(
        self, caller: Caller, lost: Lost, changed: Changed | None, forget: Callable[[Watch], None]
    ) -> None:
        self.caller = caller
        self.ends = inf
        self._lost = lost
        self._changed = changed
        self._forget = forget

    def end(self) -> None:
        """Tell nothing any more; harmless when it has ended."""
        self._forget(self)

    def judge(self, standing: Standing | str, now: float) -> None:
        """Pass on what was found."""
        if isinstance(standing, str):
            self.end()
            self._lost(standing)
            return
        self.ends = now + min(KEPT_SECONDS, standing.life_seconds)
        before, self.caller = self.caller, standing.caller
        if self._changed is not None and before != standing.caller:
            self._changed(standing.caller)


class AccessChanges:
    """See the head of the module."""

    log = Logger()

    def __init__(
        self, database: Database, settings: Identity, hearing: Hearing, clock: IReactorTime
    ) -> None:
        self._database = database
        self._settings = settings
        self._hearing = hearing
        self._clock = clock
        self._subscribers: list[Callable[[str], None]] = []
        self._watches: dict[str, set[Watch]] = {}
        # Since when each is to be looked at again.
        self._due: dict[Watch, float] = {}
        self._ticking: IDelayedCall | None = None
        self._looking = False
        self._ages_looked = self._deaf_looked = -inf
        hearing.subscribe(CHANNEL, self._heard)

    @property
    def is_hearing(self) -> bool:
        """Whether everything committed more than a second ago has been told."""
        return self._hearing.is_hearing

    def subscribe(self, changed: Callable[[str], None]) -> None:
        """Have ``changed`` called with the uuid of a user whose access changed, "" for anybody."""
        self._subscribers.append(changed)

    def watch(self, caller: Caller, lost: Lost, changed: Changed | None = None) -> Watch:
        """Have ``lost(reason)`` called within a second when ``caller`` is let in no more.

        That is when the user is not active, or the token or session that let them in has ended.
        ``changed(caller)`` is called when roles or projects are others. What changed since
        ``caller`` was authenticated is told too, never before this returns.
        """
        watch = Watch(caller, lost, changed, self._forget)
        self._watches.setdefault(caller.user, set()).add(watch)
        self._mark([watch])
        return watch

    async def refusal(self, caller: Caller) -> str | None:
        """Why somebody is let in no more, None for one who is."""
        (standing,) = await read_standing(self._database, self._settings, [caller])
        return standing if isinstance(standing, str) else None

    def _forget(self, watch: Watch) -> None:
        self._due.pop(watch, None)
        of_user = self._watches.get(watch.caller.user, set())
        of_user.discard(watch)
        if not of_user:
            self._watches.pop(watch.caller.user, None)
        if not self._watches and self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None

    def _all(self) -> list[Watch]:
        return [watch for of_user in self._watches.values() for watch in of_user]

    def _heard(self, user: str) -> None:
        for each in self._subscribers:
            each(user)
        self._mark(list(self._watches.get(user, ())) if user else self._all())

    def _mark(self, watches: Iterable[Watch]) -> None:
        now = self._clock.seconds()
        for watch in watches:
            self._due.setdefault(watch, now)
        if self._due and not self._looking:
            self._tick_in(0)

    def _tick_in(self, seconds: float) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
        self._ticking = self._clock.callLater(seconds, self._tick)

    def _tick(self) -> None:
        self._ticking = None
        now = self._clock.seconds()
        # A clock that jumps back would put looks off.
        if not self._hearing.is_hearing and not 0 <= now - self._deaf_looked < DEAF_LOOK_SECONDS:
            self._deaf_looked = now
            self._due = dict.fromkeys(self._all(), now) | self._due
        if not 0 <= now - self._ages_looked < AGES_SECONDS:
            self._ages_looked = now
            old = (each for each in self._all() if not 0 < each.ends - now <= KEPT_SECONDS)
            self._due = dict.fromkeys(old, now) | self._due
        if self._due:
            self._looking = True
            Deferred.fromCoroutine(self._look()).addBoth(self._looked)
        elif self._watches:
            self._tick_in(TICK_SECONDS)

    def _looked(self, outcome: object) -> None:
        self._looking = False
        if self._watches:
            self._tick_in(TICK_SECONDS if outcome is None else DEAF_LOOK_SECONDS)
        if isinstance(outcome, Failure):
            self.log.warn("rights could not be looked at: {error}", error=str(outcome.value))

    async def _look(self) -> None:
        """Look at all that are due; raises what kept it from that."""
        due, self._due = self._due, {}
        reading = Deferred.fromCoroutine(
            read_standing(self._database, self._settings, [each.caller for each in due])
        )
        try:
            found = await reading.addTimeout(LOOK_LIMIT_SECONDS, self._clock)
        except Exception:
            self._fail_closed(due)
            raise
        for watch, standing in zip(due, found, strict=True):
            self._judge(watch, standing)

    def _fail_closed(self, due: dict[Watch, float]) -> None:
        now = self._clock.seconds()
        for watch, since in due.items():
            if now - since >= UNCHECKED_SECONDS:
                self._judge(watch, UNCHECKED)
            elif watch in self._watches.get(watch.caller.user, ()):
                self._due[watch] = since

    def _judge(self, watch: Watch, standing: Standing | str) -> None:
        if watch not in self._watches.get(watch.caller.user, ()):
            return  # it ended while it was looked at
        try:
            watch.judge(standing, self._clock.seconds())
        except Exception:
            self.log.failure("what was told of lost or changed access failed")
