"""Reading the journal, and keeping its partitions."""

from __future__ import annotations

from attrs import evolve
from twisted.logger import Logger

from synnefo_tx.caller import Caller
from synnefo_tx.db.pool import Database
from synnefo_tx.journal import rules
from synnefo_tx.journal.model import Entry, Scope
from synnefo_tx.journal.store import PartitionStore, read_page
from synnefo_tx.settings import Journal as Settings

PAGE_MAX = 50


class Journal:
    """What action logs, audits and activity pages read."""

    log = Logger()

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    async def page(self, caller: Caller, asked: Scope, limit: int = PAGE_MAX) -> list[Entry]:
        """The newest entries of what is asked for that the caller may see, the newest first.

        A user sees what was done to their things, by whomever, and to the projects themselves in
        which they are: what the API shows them of these. The operator's commands see all.
        """
        scope = evolve(asked, user=caller.user, projects=caller.projects, sees_all=caller.sees_all)
        return await read_page(self._database, scope, limit)

    async def keep_partitions(self) -> None:
        """Make partitions for this month and those to come, move to theirs the rows that had none,
        and drop the months that are older than the settings keep.

        Each step is a transaction of its own that waits a second at most for a lock; what it could
        not do it does the next time.
        """
        async with self._database.transaction("journal-partitions") as tx:
            store = PartitionStore(tx)
            await store.lock()
            today, existing = await store.today(), await store.months()
            rest = await store.rest_months()
            wanted = rules.wanted(today, existing, rest)
            if rest:
                await store.take_rest(wanted)
            else:
                for month in wanted:
                    await store.attach(month)
        for month in existing:
            if rules.is_past(month, today, self._settings.months_kept):
                async with self._database.transaction("journal-drop") as tx:
                    store = PartitionStore(tx)
                    await store.lock()
                    if month in await store.months():
                        await store.drop(month)
                self.log.info("journal of {month} dropped", month=f"{month:%Y-%m}")
