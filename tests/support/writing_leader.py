"""A process that leads an election and does nothing but write, in its term's transactions.

``python -m tests.support.writing_leader URL NAME``: each row has its own number and the epoch. Half
of a transaction is written, then the other half after a wait: it is mostly within one.
"""

from __future__ import annotations

import os
import sys

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from synnefo_tx.db.connect import connector, election_connector
from synnefo_tx.db.election import Elections
from synnefo_tx.db.fence import current_term
from synnefo_tx.db.pool import Database, DatabaseUnavailable, PoolLimits
from synnefo_tx.settings import DatabaseSettings

SETTINGS = DatabaseSettings(leader_silence_seconds=1.5, transaction_idle_limit_seconds=1.5)
WRITE = "INSERT INTO written (process, epoch, half) VALUES (%(process)s, %(epoch)s, %(half)s)"


async def write(database: Database) -> None:
    """Write until cancelled."""
    term = current_term.get()
    values = {"process": os.getpid(), "epoch": term.epoch}
    while True:
        try:
            async with database.transaction("write") as tx:
                await tx.run(WRITE, values | {"half": 1})
                await deferLater(reactor, 0.02)
                await tx.run(WRITE, values | {"half": 2})
        except DatabaseUnavailable as error:
            print(f"unavailable: {error}", flush=True)
        except BaseException as error:
            print(f"ended: {type(error).__name__} {error}", flush=True)
            raise


def main(url: str, name: str) -> None:
    """Stand for election until killed."""
    database = Database(connector(reactor, url, SETTINGS), reactor, PoolLimits())
    elections = Elections(
        election_connector(reactor, url, SETTINGS), reactor, str(os.getpid()),
        SETTINGS.leader_silence_seconds,
    )  # fmt: skip
    elections.stand(name, lambda: write(database))
    reactor.callWhenRunning(elections.startService)
    reactor.addSystemEventTrigger(
        "before", "shutdown", lambda: Deferred.fromCoroutine(elections.stopService())
    )
    reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
