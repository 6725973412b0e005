"""Where work that only one process may do at a time is announced, and what a lone process does.

Apart from ``election``, which knows PostgreSQL, so that whoever only stands needs no driver.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred

Work = Callable[[], Coroutine[Any, Any, None]]


class Electorate(Protocol):
    """Where work that only one process may do at a time is announced."""

    def stand(self, name: str, work: Work) -> None:
        """Run ``work()`` whenever this process leads ``name``; it is cancelled when it does not.

        ``name`` is ``group`` or ``group:item``; the items of a group are shared among processes.
        """

    async def withdraw(self, name: str) -> None:
        """Lead no more; returns when the work has ended. Harmless for what never stood."""


class Unopposed:
    """The electorate of a process that is alone: who stands, leads."""

    def __init__(self) -> None:
        self._tasks: dict[str, Deferred[None]] = {}

    def stand(self, name: str, work: Work) -> None:
        """See ``Electorate``."""
        if name not in self._tasks:
            self._tasks[name] = Deferred.fromCoroutine(work())

    async def withdraw(self, name: str) -> None:
        """See ``Electorate``."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()
            try:
                await task
            except CancelledError:
                return
