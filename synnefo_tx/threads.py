"""Threads for what blocks: a bounded pool for each purpose, with a bounded line before it.

What one purpose takes, the others keep: a flood of log-ins, a slow disk or a slow name server can't
keep the reactor's own threads busy, nor memory. A pool starts threads at its first use.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from synnefo_tx.faults import ServiceUnavailable
from synnefo_tx.settings import Threads as Settings

T = TypeVar("T")


class Threads(Protocol):
    """Runs blocking calls elsewhere; the simulator runs them in place."""

    async def run(self, function: Callable[[], T]) -> T:
        """The result of ``function``; raises ServiceUnavailable when too many wait."""
        ...


@frozen
class ThreadUse:
    """How much a pool has to do, and has done: calls and the seconds that they took."""

    running: int
    waiting: int
    done: int
    refused: int
    seconds: float


class BoundedThreads:
    """The threads of one purpose."""

    def __init__(
        self, purpose: str, threads: int, waiting_max: int, reactor: IReactorFromThreads
    ) -> None:
        self.purpose = purpose
        self._reactor = reactor
        self._pool = ThreadPool(0, threads, purpose)
        self._threads = threads
        self._taken_max = threads + waiting_max
        self._taken = self._done = self._refused = 0
        self._seconds = 0.0
        self._stopped = False

    @property
    def use(self) -> ThreadUse:
        """What it does now."""
        running = min(self._taken, self._threads)
        return ThreadUse(running, self._taken - running, self._done, self._refused, self._seconds)

    async def run(self, function: Callable[[], T]) -> T:
        """The result of ``function``; raises ServiceUnavailable when too many wait."""
        if self._taken >= self._taken_max or self._stopped:
            self._refused += 1
            raise ServiceUnavailable("Too much to do at once: try again in a moment")
        if not self._pool.started:
            self._pool.start()
        self._taken += 1
        return await deferToThreadPool(self._reactor, self._pool, self._perform, function)

    def _perform(self, function: Callable[[], T]) -> T:
        # In the thread: the place is free when the work is done, not when the caller gave up.
        begun = time.monotonic()
        try:
            if self._stopped:
                raise ServiceUnavailable("The service is shutting down")
            return function()
        finally:
            self._reactor.callFromThread(self._release, time.monotonic() - begun)

    def _release(self, seconds: float) -> None:
        self._taken -= 1
        self._done += 1
        self._seconds += seconds

    def stop(self) -> None:
        """Refuse what waits and end the threads; takes as long as what runs."""
        self._stopped = True
        if self._pool.started:
            self._pool.stop()


@frozen
class ThreadPools:
    """A pool for each purpose: hashing passwords, hashing blocks of files, the file system, and
    asking for names of hosts."""

    passwords: Threads
    blocks: Threads
    files: Threads
    names: Threads

    @property
    def measured(self) -> list[BoundedThreads]:
        """The pools whose use is told."""
        pools = (self.passwords, self.blocks, self.files, self.names)
        return [each for each in pools if isinstance(each, BoundedThreads)]


class ThreadService(Service):
    """The pools of a process; stopped with it."""

    def __init__(self, settings: Settings, reactor: IReactorFromThreads) -> None:
        own = settings

        def pool(purpose: str, threads: int, waiting_max: int) -> BoundedThreads:
            return BoundedThreads(purpose, threads, waiting_max, reactor)

        self.pools = ThreadPools(
            passwords=pool("passwords", own.password_threads, own.password_waiting_max),
            blocks=pool("blocks", own.block_threads, own.block_waiting_max),
            files=pool("files", own.file_threads, own.file_waiting_max),
            names=pool("names", own.name_threads, own.name_waiting_max),
        )

    def stopService(self) -> None:
        """End all threads."""
        super().stopService()
        for each in self.pools.measured:
            each.stop()
