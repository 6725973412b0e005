"""Reading the journal, and keeping its partitions."""

from __future__ import annotations

from datetime import date

from attrs import evolve
from twisted.logger import Logger

from synnefo_tx.caller import Caller
from synnefo_tx.db.pool import Database
from synnefo_tx.db.sweeping import STEP_ROWS, STEPS_MAX
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

        Each step is a transaction of its own, with a bounded number of rows, and waits a second at
        most for a lock; what it could not do it does the next time. Rows that are being moved are
        not seen by readers for that time.
        """
        await self._move()
        existing = await self._make()
        await self._move()
        async with self._database.transaction("journal-today") as tx:
            today = await PartitionStore(tx).today()
        for month in rules.past(existing, today, self._settings.months_kept):
            async with self._database.transaction("journal-drop") as tx:
                store = PartitionStore(tx)
                await store.lock()
                if month in await store.months():
                    await store.drop(month)
            self.log.info("journal of {month} dropped", month=f"{month:%Y-%m}")

    async def _make(self) -> list[date]:
        """Make the partitions that are wanted, and set aside what is in none; those there were."""
        async with self._database.transaction("journal-partitions") as tx:
            store = PartitionStore(tx)
            await store.lock()
            today, existing = await store.today(), await store.months()
            if not rules.wanted(today, existing, await store.rest_months()):
                return existing
            await store.keep_writers_out()
            rest = [] if await store.is_aside() else await store.rest_months()
            wanted = rules.wanted(today, existing, rest)
            if rest:
                await store.set_rest_aside(wanted)
            else:
                for month in wanted:
                    await store.attach(month)
        return existing

    async def _move(self) -> None:
        """Move what was set aside to its partitions, in steps."""
        for _ in range(STEPS_MAX):
            async with self._database.transaction("journal-move") as tx:
                store = PartitionStore(tx)
                await store.lock()
                if not await store.is_aside():
                    return
                if not await store.move(STEP_ROWS):
                    await store.end_move()
