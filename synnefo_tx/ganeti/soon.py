"""Work on a cluster that hints ask for: soon, and not more often than it can be done."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from synnefo_tx.ganeti.model import RapiFailure


class Soon:
    """Does ``work`` for a backend ``pause_seconds`` after it is asked for.

    For each backend at most one run is under way and one waits: what is asked for meanwhile is
    done by the one that waits.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        work: Callable[[int], Awaitable[object]],
        clock: IReactorTime,
        pause_seconds: float,
    ) -> None:
        self._name = name
        self._work = work
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._running: dict[int, Deferred[None]] = {}
        self._asked: set[int] = set()

    def ask(self, backend: int) -> None:
        """Have it done soon."""
        self._asked.add(backend)
        if backend not in self._running:
            # The entry is there before the work can end.
            begin: Deferred[None] = Deferred()
            task = Deferred.fromCoroutine(self._run(backend, begin))
            self._running[backend] = task
            begin.callback(None)

    async def _run(self, backend: int, begin: Deferred[None]) -> None:
        try:
            await begin
            while backend in self._asked:
                await deferLater(self._clock, self._pause_seconds)
                self._asked.discard(backend)
                await self._guarded(backend)
        except CancelledError:
            return
        finally:
            self._running.pop(backend, None)

    async def _guarded(self, backend: int) -> None:
        try:
            await self._work(backend)
        except CancelledError:
            raise
        except RapiFailure as error:
            self.log.warn(
                "{name} of cluster {backend}: {error}",
                name=self._name,
                backend=backend,
                error=str(error),
            )
        except Exception:
            self.log.failure("{name} of cluster {backend} failed", name=self._name, backend=backend)

    async def stop(self) -> None:
        """Give up what is under way and what waits."""
        self._asked.clear()
        for task in list(self._running.values()):
            task.cancel()
            await task
