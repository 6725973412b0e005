"""Fencing: what a leader writes is refused once another leads.

A process may be stopped for minutes at any instruction and then go on with what it believed. So
belief is not enough: the leader's tasks run with a ``Term`` in their context, and the transactions
they open begin with a look at its epoch, under a lock that the next leader's epoch waits for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import CancelledError

# One round trip. The lock lasts as long as the transaction, the epoch can't change meanwhile.
BEGIN_FENCED = """
BEGIN; SELECT FROM elections WHERE name = %(name)s AND epoch = %(epoch)s FOR SHARE
"""


class Deposed(CancelledError):
    """Another leads now: nothing was written, and the task is to end."""


@frozen
class Term:
    """One leader's time: ``name`` of the election and the epoch it was won with.

    ``depose`` is called when a transaction finds another epoch.
    """

    name: str
    epoch: int
    depose: Callable[[], None] = field(eq=False, repr=False)

    @property
    def key(self) -> dict[str, Any]:
        """The parameters of statements that ask for this term."""
        return {"name": self.name, "epoch": self.epoch}


current_term: ContextVar[Term | None] = ContextVar("current_term", default=None)
"""The term under which the running task acts; None outside elections."""
