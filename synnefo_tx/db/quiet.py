"""Waits until whatever was under way in the database has ended."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from synnefo_tx.db.pool import Database

POLL_SECONDS = 0.1
# Transactions of other roles are not seen, unless this one has pg_read_all_stats.
OPEN = """
SELECT pid, xact_start::text FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""


async def wait_until_ended(database: Database, clock: IReactorTime, limit_seconds: float) -> bool:
    """Wait for the end of all transactions that are open now; False if one outlasts the limit."""
    left = set(await database.read(OPEN))
    deadline = clock.seconds() + limit_seconds
    while left:
        if clock.seconds() > deadline:
            return False
        await deferLater(clock, POLL_SECONDS)
        left &= set(await database.read(OPEN))
    return True
