"""What the image installer tells while a server is built (ganeti-backend reference §8.3)."""

from __future__ import annotations

from collections.abc import Sequence

from synnefo_tx.compute.servers.store import ServerStore
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.messages import BuildProgress, ImageReport
from synnefo_tx.ganeti.requests import server_id


class ServerProgress:
    """Keeps the percentage of builds, and reports as diagnostics of their servers."""

    def __init__(self, database: Database, backend_prefix: str) -> None:
        self._database = database
        self._backend_prefix = backend_prefix

    async def apply(self, events: Sequence[BuildProgress | ImageReport]) -> None:
        """Apply some events in one transaction; those of no server of ours change nothing."""
        percents: dict[int, int] = {}
        reports: list[tuple[int, ImageReport]] = []
        for event in events:
            id = server_id(event.instance, self._backend_prefix)
            if id is None:
                continue
            if isinstance(event, ImageReport):
                reports.append((id, event))
            elif event.percent >= 0:
                percents[id] = max(event.percent, percents.get(id, 0))
        if not percents and not reports:
            return
        async with self._database.transaction("server-build-progress") as tx:
            store = ServerStore(tx)
            await store.lock_all([*percents, *(id for id, _ in reports)])
            if percents:
                await store.raise_progress(percents)
            for id, report in reports:
                await store.add_report(id, report)
