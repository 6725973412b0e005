"""Deleting what is past its time: in steps, each a transaction of its own.

One statement over everything would be rolled back by the transaction's limit where there is much of
it, after an outage or a flood, and again each time, while there is more and more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from synnefo_tx.db.pool import Database, Transaction

STEP_ROWS = 5000
"""What a step deletes at most."""
STEPS_MAX = 100
"""Steps of one run; what is left is for the next."""

Step = Callable[[Transaction], Awaitable[int]]
"""Deletes some of what is past its time; how many rows, 0 when there is no more."""


log = Logger()


async def sweep(database: Database, name: str, step: Step) -> int:
    """Delete what is past its time; how many rows."""
    total = 0
    for _ in range(STEPS_MAX):
        async with database.transaction(f"{name}-sweep") as tx:
            count = await step(tx)
        total += count
        if not count:
            break
    return total


async def sweep_all(database: Database, steps: Mapping[str, Step]) -> None:
    """Sweep everything, by name; one that fails keeps none of the others. Raises what the
    first failed with, when all had their turn."""
    first: Exception | None = None
    for name, step in steps.items():
        try:
            await sweep(database, name, step)
        except CancelledError:
            raise
        except Exception as error:
            log.failure("the sweep of {name} failed", name=name)
            first = first or error
    if first is not None:
        raise first
