"""How an operation takes effect once although its request is repeated.

A route gives its operation ``call.once(reply_of)``. The operation claims the request first of all
in its transaction, and last of all keeps its result there, from which ``reply_of`` makes the reply.
So the reply is kept exactly if the effect held.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from synnefo_tx.db.pool import Transaction

R_contra = TypeVar("R_contra", contravariant=True)


class Once(Protocol[R_contra]):
    """A request that may be repeated."""

    async def claim(self, tx: Transaction) -> None:
        """Go on only if no other has done, or is doing, what is to be done in ``tx``.

        Waits for one that is doing it. Raises what makes the caller's transaction end and the first
        reply be given again, and UnprocessableEntity if the first had another body.
        """

    async def keep(self, tx: Transaction, result: R_contra) -> None:
        """Keep what was done, for those who repeat the request."""


class _Always:
    """A request that takes effect each time."""

    async def claim(self, tx: Transaction) -> None:
        """Go on."""

    async def keep(self, tx: Transaction, result: object) -> None:
        """Keep nothing."""


ALWAYS: Once[Any] = _Always()
