"""The epoch of the stream's numbers: another one whenever they may mean other changes.

A database that was restored from a backup, or whose standby took over, may lack changes of which
clients were told. Their numbers would be given again, and who names one of them in Last-Event-ID
would miss what has it now. So before the sequencer gives any number it looks whether the database
is what it was: the same table, of a server that was not started anew. What a restart loses nobody
can tell from inside the database, so every restart counts: its price is one listing per client.
"""

from __future__ import annotations

from attrs import frozen
from twisted.logger import Logger

from synnefo_tx.changes.store import begin_epoch, renew_epoch
from synnefo_tx.db.pool import Database
from synnefo_tx.journal.record import record

RENEWING = "changes-epoch"


@frozen
class Epochs:
    """Begins epochs. Who follows the stream, or comes back to it, is told ``reset``."""

    database: Database
    log = Logger()

    async def renew(self) -> None:
        """Begin another epoch if the database is not what it was; for who numbers, before that."""
        async with self.database.transaction(RENEWING) as tx:
            epoch = await renew_epoch(tx)
        if epoch is not None:
            self.log.warn(
                "the database was started or restored: clients of streams list anew, epoch {epoch}",
                epoch=epoch,
            )

    async def reset(self) -> int:
        """Begin another epoch; which."""
        async with self.database.transaction(RENEWING) as tx:
            epoch = await begin_epoch(tx)
            await record(tx, "events:stream:reset", "stream", details=f"epoch {epoch}")
        return epoch
