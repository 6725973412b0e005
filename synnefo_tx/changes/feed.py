"""Reads the numbered changes once for all streams of this process, and tells them.

A stream that begins is told what follows the place where this process is. One that goes on after
a cut, perhaps at another process, first catches up. While nobody listens nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from synnefo_tx.changes.bell import Bell
from synnefo_tx.changes.delivery import deliver
from synnefo_tx.changes.figures import StreamFigures
from synnefo_tx.changes.model import Kind, Position
from synnefo_tx.changes.store import NUMBERED, Batch, end_of_stream, read, tell_wanted
from synnefo_tx.changes.subscriber import Subscriber
from synnefo_tx.db.listener import Hearing
from synnefo_tx.db.pool import Database, shield
from synnefo_tx.faults import ServiceUnavailable

BEAT_SECONDS = 20.0
WANT_SECONDS = 2.0
LOOK_SECONDS = 1.0
"""How often is looked without a sign."""


class Feed:
    """See the head of the module."""

    log = Logger()

    def __init__(
        self,
        database: Database,
        kinds: Sequence[Kind],
        hearing: Hearing,
        clock: IReactorTime,
        figures: StreamFigures,
    ) -> None:
        self._database = database
        self._kinds: Mapping[str, Kind] = {each.name: each for each in kinds}
        self._clock = clock
        self._figures = figures
        self._bell = Bell(clock)
        self._new: list[Subscriber] = []
        self._behind: list[Subscriber] = []
        self._live: dict[str, set[Subscriber]] = {}
        self._place: Position | None = None
        self._beat_at = self._want_at = 0.0
        self._running: Deferred[None] | None = None
        hearing.subscribe(NUMBERED, self._bell.ring)

    def join(self, subscriber: Subscriber) -> None:
        """Begin to tell somebody."""
        self._new.append(subscriber)
        self._bell.ring()
        if self._running is None:
            self._running = Deferred.fromCoroutine(self._run())

    def leave(self, subscriber: Subscriber) -> None:
        """Tell somebody no more."""
        for waiting in (self._new, self._behind):
            if subscriber in waiting:
                waiting.remove(subscriber)
        of_user = self._live.get(subscriber.caller.user, set())
        of_user.discard(subscriber)
        if not of_user:
            self._live.pop(subscriber.caller.user, None)
        if not self._is_wanted:
            self._bell.ring()

    async def ended(self) -> None:
        """Return when nobody is told any more; to be called when all streams have ended."""
        if self._running is not None:
            await shield(self._running)

    @property
    def _is_wanted(self) -> bool:
        return bool(self._new or self._behind or self._live)

    async def _run(self) -> None:
        self._beat_at = self._clock.seconds() + BEAT_SECONDS
        while self._is_wanted:
            try:
                is_done = await self._turn()
            except ServiceUnavailable as error:
                self.log.warn("changes are not told for now: {error}", error=str(error))
                is_done = True
            except Exception:
                self.log.failure("changes cannot be told; everybody lists anew")
                self._place = None
                is_done = True
            self._beat()
            if is_done and self._is_wanted:
                await self._bell.wait(LOOK_SECONDS)
        self._running = self._place = None

    async def _turn(self) -> bool:
        """Take in who is new, catch some up, tell what is new; whether there is no more."""
        if self._place is None:
            self._place = await end_of_stream(self._database)
            self._reset(self._everybody(), self._place)
        await self._want()
        self._take_in(self._place)
        place = self._place
        if self._behind:
            await self._catch_up(place)
        batch = await read(self._database, place.n)
        if batch.end.epoch != place.epoch or batch.swept > place.n:
            self._place = batch.end
            self._reset(self._everybody(), batch.end)
            return False
        if batch.changes:
            await self._tell(batch, self._live)
            self._place = Position(place.epoch, batch.changes[-1].n)
        return self._place >= batch.end and not (self._behind or self._new)

    async def _want(self) -> None:
        """Have changes numbered soon, not once a second."""
        now = self._clock.seconds()
        if now >= self._want_at:
            self._want_at = now + WANT_SECONDS
            await tell_wanted(self._database)

    def _take_in(self, place: Position) -> None:
        new, self._new = self._new, []
        for each in new:
            resumed = each.resumed
            if resumed is not None and resumed.epoch == place.epoch:
                each.hello(resumed)
                self._behind.append(each)
                continue
            each.hello(place)
            if resumed is not None:
                each.reset(place)
            self._go_live(each)

    def _go_live(self, subscriber: Subscriber) -> None:
        if subscriber.is_open:
            self._live.setdefault(subscriber.caller.user, set()).add(subscriber)

    async def _catch_up(self, place: Position) -> None:
        """Tell those behind some of what they missed; who has it all goes on with the others."""
        after = min(each.n for each in self._behind)
        batch = await read(self._database, min(after, place.n))
        missed = [each for each in self._behind if not batch.swept <= each.n <= batch.end.n]
        self._behind = [each for each in self._behind if each not in missed]
        self._reset(missed, place)
        changes = [each for each in batch.changes if each.n <= place.n]
        streams: dict[str, list[Subscriber]] = {}
        for each in self._behind:
            streams.setdefault(each.caller.user, []).append(each)
        reached = place.n if len(changes) < len(batch.changes) or not changes else changes[-1].n
        await self._tell(Batch(batch.end, batch.swept, changes), streams)
        for each in self._behind:
            each.n = max(each.n, reached)
        level = [*missed, *(each for each in self._behind if each.n >= place.n)]
        self._behind = [each for each in self._behind if each.n < place.n]
        for each in level:
            self._go_live(each)

    async def _tell(self, batch: Batch, streams: Mapping[str, Iterable[Subscriber]]) -> None:
        now = {user: list(of_user) for user, of_user in streams.items()}
        if not batch.changes or not now:
            return
        count = await deliver(self._kinds, batch.changes, batch.end.epoch, now)
        self._figures.events.inc(count)
        self._figures.lag.set(max(each.lag_seconds for each in batch.changes))

    def _reset(self, subscribers: Iterable[Subscriber], place: Position) -> None:
        for each in list(subscribers):
            each.reset(place)

    def _everybody(self) -> list[Subscriber]:
        live = [each for of_user in self._live.values() for each in of_user]
        return [*live, *self._behind]

    def _beat(self) -> None:
        now = self._clock.seconds()
        if now < self._beat_at or self._place is None:
            return
        self._beat_at = now + BEAT_SECONDS
        epoch, n = self._place.epoch, self._place.n
        behind = set(self._behind)
        for each in self._everybody():
            # Those behind were not told yet what lies between.
            each.beat(Position(epoch, each.n if each in behind else max(n, each.n)))
