"""Asks each cluster what became of its open jobs, and what instances it has.

One filtered query for all open jobs of a cluster every two seconds while there are any, else every
half minute; one listing of all instances a minute. A cluster that hangs delays only itself.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

from attrs import define, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from synnefo_tx.db.pool import Database
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.ganeti.backends.operations import NOW, Backends
from synnefo_tx.ganeti.jobs.operations import Jobs
from synnefo_tx.ganeti.jobs.store import open_count
from synnefo_tx.ganeti.model import RapiFailure
from synnefo_tx.ganeti.soon import Soon
from synnefo_tx.settings import Ganeti

SOON_SECONDS = 0.2


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


class Poller(Service):
    """Watches every backend in a task of its own."""

    log = Logger()

    def __init__(
        self,
        database: Database,
        backends: Backends,
        jobs: Jobs,
        on_listing: Callable[[Listing], Awaitable[object]],
        clock: IReactorTime,
        settings: Ganeti,
    ) -> None:
        self._database = database
        self._backends = backends
        self._jobs = jobs
        self._on_listing = on_listing
        self._clock = clock
        self._settings = settings
        self._watches: dict[int, Deferred[None]] = {}
        self._census: Deferred[None] | None = None
        self._soon = Soon("an early look", self.look, clock, SOON_SECONDS)
        self.lags: dict[int, Lag] = {}

    def startService(self) -> None:
        super().startService()
        self._census = Deferred.fromCoroutine(self._count())

    async def stopService(self) -> None:
        """Stop looking; what is being applied is applied to its end by its transaction."""
        super().stopService()
        await self._soon.stop()
        tasks = list(self._watches.values())
        if self._census is not None:
            tasks.append(self._census)
        for task in tasks:
            task.cancel()
            try:
                await task
            except CancelledError:
                continue

    async def _count(self) -> None:
        """Begin to watch clusters that were added since."""
        while self.running:
            try:
                for backend in await self._backends.list():
                    if not backend.offline and backend.id not in self._watches:
                        watch = Deferred.fromCoroutine(self._watch(backend.id))
                        self._watches[backend.id] = watch
            except CancelledError:
                raise
            except Exception:
                self.log.failure("the clusters could not be counted; it goes on")
            await deferLater(self._clock, self._settings.open_poll_seconds)

    async def _watch(self, backend: int) -> None:
        lag = self.lags.setdefault(backend, Lag())
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
                self._watches.pop(backend, None)
                self.lags.pop(backend, None)
                return
            except RapiFailure as error:
                lag.failing = True
                self.log.warn("cluster {backend}: {error}", backend=backend, error=str(error))
            except Exception:
                self.log.failure("a look at cluster {backend} failed; it goes on", backend=backend)
            await deferLater(self._clock, self._settings.open_poll_seconds)

    def look_soon(self, backend: int) -> None:
        """Something happened on a cluster that only a look can explain; nothing if not running."""
        if self.running:
            self._soon.ask(backend)

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
        await self._on_listing(await self.read(backend))

    async def read(self, backend: int) -> Listing:
        """All instances of a cluster now; raises RapiFailure."""
        begun: datetime = (await self._database.read(NOW))[0][0]
        rapi = await self._backends.rapi(backend)
        return Listing(backend, begun, await rapi.instances())
