"""Since when a poller must ask again: the moment before which nothing is still to be committed.

Who lists what changed gives this moment with the list. What is committed later bears a time that is
not before it, however long its transaction was open (see the migration ``commit_horizon``).
"""

from __future__ import annotations

from datetime import datetime

from synnefo_tx.db.pool import Database, Hot

HORIZON = Hot("SELECT commit_horizon()")


async def commit_horizon(database: Database) -> datetime:
    """The horizon now; to be read before what is listed."""
    moment: datetime = (await database.read(HORIZON))[0][0]
    return moment
