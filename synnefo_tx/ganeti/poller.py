"""Asks each cluster what became of its open jobs, and what instances it has.

One filtered query for all open jobs of a cluster every two seconds while there are any, else every
half minute; one listing of all instances a minute. A cluster that hangs delays only itself. Of all
processes one watches a cluster: who is elected for it. It tells the others how it goes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import Context, copy_context
from datetime import datetime
from functools import partial
from typing import Any

from attrs import define, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from synnefo_tx.db.electorate import Electorate
from synnefo_tx.db.leaders import report
from synnefo_tx.db.pool import Database
from synnefo_tx.faults import ItemNotFound, ServiceUnavailable
from synnefo_tx.ganeti.backends.operations import NOW, Backends
from synnefo_tx.ganeti.jobs.operations import Jobs
from synnefo_tx.ganeti.jobs.store import open_count
from synnefo_tx.ganeti.model import RapiFailure
from synnefo_tx.ganeti.soon import Soon
from synnefo_tx.settings import Ganeti

REPORT_SECONDS = 5.0
ELECTION = "poller:"
SOON_SECONDS = 0.2
CHANNEL = "synnefo_looks"
TELL_LEADER = f"SELECT pg_notify('{CHANNEL}', %(backend)s::text)"


@frozen
class Listing:
    """All instances of a cluster, as they were at some moment after ``begun``."""

    backend: int
    begun: datetime
    instances: list[dict[str, Any]]


@define
class Lag:
    """When a cluster last answered a look, and how it went, for metrics and health."""

    polled: float | None = None
    listed: float | None = None
    failing: bool = False
    open_jobs: int = 0
    differences: int = 0
    told: float | None = None
    told_failing: bool = False


class Poller(Service):
    """Watches every backend, for which it is elected, in a task of its own."""

    log = Logger()

    def __init__(
        self,
        database: Database,
        backends: Backends,
        jobs: Jobs,
        on_listing: Callable[[Listing], Awaitable[int]],
        clock: IReactorTime,
        settings: Ganeti,
        electorate: Electorate,
    ) -> None:
        self._database = database
        self._backends = backends
        self._jobs = jobs
        self._on_listing = on_listing
        self._clock = clock
        self._settings = settings
        self._electorate = electorate
        self._standing: set[int] = set()
        self._census: Deferred[None] | None = None
        self._watching: dict[int, Context] = {}
        self._soon = Soon("an early look", self._look_early, clock, SOON_SECONDS)
        self._hints = Soon("a hint to who watches", self._hint, clock, SOON_SECONDS)
        self.lags: dict[int, Lag] = {}

    def startService(self) -> None:
        super().startService()
        self._census = Deferred.fromCoroutine(self._count())

    async def stopService(self) -> None:
        """Stop looking; what is being applied is applied to its end by its transaction."""
        super().stopService()
        await self._soon.stop()
        await self._hints.stop()
        if self._census is not None:
            self._census.cancel()
            with suppress(CancelledError):
                await self._census
        for backend in list(self._standing):
            await self._leave(backend)

    async def _count(self) -> None:
        """Stand for clusters that were added since, leave those that went."""
        while self.running:
            try:
                listed = await self._backends.list()
                online = {each.id for each in listed if not each.offline}
                for backend in sorted(online - self._standing):
                    self._standing.add(backend)
                    self._electorate.stand(f"{ELECTION}{backend}", partial(self._watch, backend))
                for backend in self._standing - {each.id for each in listed}:
                    await self._leave(backend)
            except CancelledError:
                raise
            except Exception:
                self.log.failure("the clusters could not be counted; it goes on")
            await deferLater(self._clock, self._settings.open_poll_seconds)

    async def _leave(self, backend: int) -> None:
        self._standing.discard(backend)
        await self._electorate.withdraw(f"{ELECTION}{backend}")

    async def _watch(self, backend: int) -> None:
        lag = self.lags[backend] = Lag()
        self._watching[backend] = copy_context()
        try:
            await self._look_on(backend, lag)
        finally:
            # Who watches no more knows no more.
            self.lags.pop(backend, None)
            self._watching.pop(backend, None)

    async def _look_on(self, backend: int, lag: Lag) -> None:
        last_idle: float | None = None
        while self.running:
            now = self._clock.seconds()
            try:
                due = last_idle is None or now - last_idle >= self._settings.idle_poll_seconds
                if due or lag.open_jobs:
                    last_idle = now
                    await self.look(backend)
                else:
                    lag.open_jobs = await open_count(self._database, backend)
                await self._list_if_due(backend, lag)
                lag.failing = False
            except CancelledError:
                raise
            except ItemNotFound:
                self.log.info("cluster {backend} was removed", backend=backend)
                return
            except RapiFailure as error:
                lag.failing = True
                self.log.warn("cluster {backend}: {error}", backend=backend, error=str(error))
            except Exception:
                self.log.failure("a look at cluster {backend} failed; it goes on", backend=backend)
            await self._tell(lag)
            await deferLater(self._clock, self._settings.open_poll_seconds)

    async def _tell(self, lag: Lag) -> None:
        """Tell the other processes how it goes: every few seconds, and when that changes."""
        now = self._clock.seconds()
        is_known = lag.told is not None and now - lag.told < REPORT_SECONDS
        if is_known and lag.told_failing == lag.failing:
            return
        content = {
            "failing": lag.failing,
            "polled_seconds": None if lag.polled is None else now - lag.polled,
            "differences": lag.differences,
        }
        try:
            await report(self._database, content)
        except ServiceUnavailable as error:
            self.log.warn("the watch could not be told: {error}", error=str(error))
        else:
            lag.told, lag.told_failing = now, lag.failing

    def look_soon(self, backend: int) -> None:
        """Something happened on a cluster that only a look can explain: whoever watches it looks.

        Nothing happens when this is not running.
        """
        if not self.running:
            return
        if backend in self._watching:
            self._soon.ask(backend)
        else:
            self._hints.ask(backend)

    def heard(self, payload: str) -> None:
        """Another process got a hint about a cluster; "" is for what may have been missed."""
        if payload and int(payload) in self._watching:
            self._soon.ask(int(payload))

    async def _look_early(self, backend: int) -> None:
        """Look as who leads: under the term of the watch."""
        context = self._watching.get(backend)
        if context is not None:
            await context.run(Deferred.fromCoroutine, self.look(backend))

    async def _hint(self, backend: int) -> None:
        await self._database.read(TELL_LEADER, {"backend": backend})

    async def look(self, backend: int) -> None:
        """Sweep and poll the intents of one cluster, once."""
        lag = self.lags.setdefault(backend, Lag())
        await self._jobs.sweep(backend)
        lag.open_jobs = await self._jobs.poll(backend)
        lag.polled = self._clock.seconds()

    async def _list_if_due(self, backend: int, lag: Lag) -> None:
        now = self._clock.seconds()
        if lag.listed is None or now - lag.listed >= self._settings.listing_seconds:
            await self.list_instances(backend)
            lag.listed = now

    async def list_instances(self, backend: int) -> None:
        """List all instances of a cluster once and hand them on."""
        lag = self.lags.setdefault(backend, Lag())
        lag.differences = await self._on_listing(await self.read(backend))

    async def read(self, backend: int) -> Listing:
        """All instances of a cluster now; raises RapiFailure."""
        begun: datetime = (await self._database.read(NOW))[0][0]
        rapi = await self._backends.rapi(backend)
        return Listing(backend, begun, await rapi.instances())
