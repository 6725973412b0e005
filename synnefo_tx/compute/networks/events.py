"""What becomes of a network's jobs on clusters."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger

from synnefo_tx.compute.networks.operations import Networks
from synnefo_tx.compute.networks.store import NetworkStore
from synnefo_tx.db.pool import Database, Transaction
from synnefo_tx.ganeti.jobs.model import JobNews
from synnefo_tx.ganeti.jobs.store import JobStore

# Ganeti's texts when the thing wanted is so already: the outcome is what was asked for.
ALREADY = ("already exists", "already connected", "is already mapped")
ABSENT = ("not known", "does not exist", "not found", "is not mapped", "not connected")


class NetworkEvents:
    """Subscriber for subjects ``network:<id>``."""

    log = Logger()

    def __init__(self, database: Database, networks: Networks) -> None:
        self._database = database
        self._networks = networks

    async def apply(self, news: JobNews) -> None:
        """Move the copy that the job was about; the last one gone ends a network."""
        async with self._database.transaction("network-news") as tx:
            intent = await JobStore(tx).find(news.intent or "")
            if intent is None:
                return
            network = int(intent.subject.partition(":")[2])
            await NetworkStore(tx).lock(network)
            if await JobStore(tx).record_news(news):
                await self._ended(tx, network, news)

    async def apply_progress(self, news: Sequence[JobNews]) -> None:
        """Note how far jobs are."""
        async with self._database.transaction("network-progress") as tx:
            await JobStore(tx).record_statuses(news)

    async def _ended(self, tx: Transaction, network: int, news: JobNews) -> None:
        store = NetworkStore(tx)
        copy = next((c for c in await store.copies(network) if c.backend == news.backend), None)
        if copy is None or news.intent not in copy.intents:
            return
        left = [each for each in copy.intents if each != news.intent]
        removing = copy.state == "REMOVING"
        fine = news.status == "success" or any(
            text in news.error.lower() for text in (ABSENT if removing else ALREADY)
        )
        if not fine:
            self.log.error(
                "{opcode} of {network} on cluster {backend} failed: {error}",
                opcode=news.opcode,
                network=news.instance,
                backend=news.backend,
                error=news.error,
            )
            await store.set_copy(network, news.backend, "ERROR", [])
        elif left:
            await store.set_copy(network, news.backend, copy.state, left)
        elif removing:
            await store.delete_copy(network, news.backend)
            await self._networks.finish_removal(tx, network)
        else:
            await store.set_copy(network, news.backend, "ACTIVE", [])
