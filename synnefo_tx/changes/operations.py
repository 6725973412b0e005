"""Following the stream of changes: who may, how many, and for how long."""

from __future__ import annotations

from collections import Counter

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from synnefo_tx.caller import Caller
from synnefo_tx.changes.feed import Feed
from synnefo_tx.changes.figures import StreamFigures
from synnefo_tx.changes.model import Position
from synnefo_tx.changes.store import sweep
from synnefo_tx.changes.subscriber import Subscriber, Watching
from synnefo_tx.db.pool import Transaction
from synnefo_tx.faults import ServiceUnavailable, TooManyRequests
from synnefo_tx.rest.streaming import StreamBody
from synnefo_tx.settings import Changes

RETRY_AFTER_SECONDS = "30"
END_SECONDS = 1.0
"""How long a client that is let in no more may take to read what was written before."""


class Streams:
    """The streams of this process."""

    log = Logger()

    def __init__(
        self,
        feed: Feed,
        watching: Watching,
        settings: Changes,
        figures: StreamFigures,
        clock: IReactorTime,
    ) -> None:
        self.settings = settings
        self.feed = feed
        self._watching = watching
        self._figures = figures
        self._clock = clock
        self._open: Counter[str] = Counter()

    async def ended(self) -> None:
        """Return when the last stream has ended, and nothing is read for any."""
        await self.feed.ended()

    async def sweep(self, tx: Transaction) -> int:
        """Forget some of the changes that are kept no longer; how many."""
        return await sweep(tx, self.settings.keep_seconds)

    def check_room(self, caller: Caller) -> None:
        """Raise TooManyRequests or ServiceUnavailable when a caller gets no further stream."""
        if self._open[caller.user] >= self.settings.streams_per_user_max:
            raise TooManyRequests(
                "You follow too many streams", headers={"Retry-After": RETRY_AFTER_SECONDS}
            )
        if self._open.total() >= self.settings.streams_max:
            raise ServiceUnavailable("Too many streams are open. Try again later.")

    def follow(self, caller: Caller, resumed: Position | None, body: StreamBody) -> None:
        """Tell a caller what changes, until the body ends or the caller is let in no more."""
        subscriber = Subscriber(caller, resumed, body)
        cutting: IDelayedCall | None = None

        def lost(reason: str) -> None:
            nonlocal cutting
            self.log.info("a stream of {user} ends: {reason}", user=caller.user, reason=reason)
            # Nothing is waited for that is not read: it would keep its place for ever.
            cutting = self._clock.callLater(END_SECONDS, body.cut)
            subscriber.end()

        watch = self._watching.watch(caller, lost)

        def ended(was_cut: bool) -> None:
            watch.end()
            if cutting is not None and cutting.active():
                cutting.cancel()
            self.feed.leave(subscriber)
            self._open[caller.user] -= 1
            if not self._open[caller.user]:
                del self._open[caller.user]
            self._figures.open.dec()
            if was_cut:
                self._figures.cut.inc()
                self.log.info("a stream of {user} is cut off: it is not read", user=caller.user)

        self._open[caller.user] += 1
        self._figures.open.inc()
        body.ended = ended
        self.feed.join(subscriber)
