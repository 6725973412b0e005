"""Named locks, each granted in the order of asking."""

from __future__ import annotations

from collections import deque

from attrs import define, field
from twisted.internet.defer import Deferred


@define
class Locks:
    """Locks by name. A holder gives back what it took; waiting can be cancelled."""

    _queues: dict[str, deque[Deferred[None]]] = field(factory=dict)

    def is_free(self, name: str) -> bool:
        """Whether nobody holds it."""
        return name not in self._queues

    async def take(self, name: str) -> None:
        """Wait until the lock is ours."""
        if name not in self._queues:
            self._queues[name] = deque()
            return
        queue = self._queues[name]
        turn: Deferred[None] = Deferred(queue.remove)
        queue.append(turn)
        await turn

    def give(self, name: str) -> None:
        """Hand the lock to the next, or free it."""
        queue = self._queues[name]
        if queue:
            queue.popleft().callback(None)
        else:
            del self._queues[name]
