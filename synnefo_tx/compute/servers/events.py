"""The one path on which a server's state changes: news of jobs, from whatever source.

Poller, reconciliation and messages build the same values and end here. In one transaction the
server is locked, the transition decided, the intent ended, quota settled, addresses freed.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.logger import Logger

from synnefo_tx.compute import charges
from synnefo_tx.compute.flavors.store import FlavorStore
from synnefo_tx.compute.ports.operations import Ports
from synnefo_tx.compute.ports.store import PortStore
from synnefo_tx.compute.servers import lifecycle
from synnefo_tx.compute.servers.lifecycle import Changes, Ignored
from synnefo_tx.compute.servers.model import Server, Volume
from synnefo_tx.compute.servers.parameters import Parameters
from synnefo_tx.compute.servers.store import ServerStore
from synnefo_tx.db.pool import Database, Transaction
from synnefo_tx.ganeti.backends.store import BackendStore
from synnefo_tx.ganeti.jobs.model import JobNews
from synnefo_tx.ganeti.jobs.store import JobStore
from synnefo_tx.ganeti.requests import server_id
from synnefo_tx.identity.quota.operations import Quota
from synnefo_tx.journal.record import record, record_end

CREATION = "OP_INSTANCE_CREATE"
NEVER_RAN = frozenset({"lost", "refused"})


class ServerEvents:
    """Subscriber for subjects ``server:<id>``."""

    log = Logger()

    def __init__(
        self,
        database: Database,
        quota: Quota,
        ports: Ports,
        parameters: Parameters,
        backend_prefix: str,
    ) -> None:
        self._database = database
        self._quota = quota
        self._ports = ports
        self._parameters = parameters
        self._backend_prefix = backend_prefix

    async def apply(self, news: JobNews) -> None:
        """Apply news about the instance that they name."""
        id = server_id(news.instance, self._backend_prefix)
        if id is None:
            self.log.warn("news of {instance}, which is no server's", instance=news.instance)
            return
        async with self._database.transaction("server-news") as tx:
            server = await ServerStore(tx).lock(id)
            if server is None or server.backend != news.backend:
                self.log.warn("news of {instance}, which is not there", instance=news.instance)
                return
            await self._apply_to(tx, server, news)

    async def apply_progress(self, news: Sequence[JobNews]) -> None:
        """Apply news of several jobs that have not ended, in one transaction.

        The servers are locked in the order of their numbers.
        """
        named: dict[int, list[JobNews]] = {}
        for each in news:
            id = server_id(each.instance, self._backend_prefix)
            if id is not None:
                named.setdefault(id, []).append(each)
        async with self._database.transaction("server-progress") as tx:
            servers = await ServerStore(tx).lock_all(list(named))
            told: list[JobNews] = []
            statuses: dict[int, str] = {}
            for server in servers:
                for each in named[server.id]:
                    if server.backend != each.backend:
                        continue
                    told.append(each)
                    outcome = lifecycle.on_job(server, each)
                    if not isinstance(outcome, Ignored):
                        statuses[server.id] = outcome.job_status
            if told:
                await JobStore(tx).record_statuses(told)
            if statuses:
                await ServerStore(tx).set_job_statuses(statuses)

    async def _apply_to(self, tx: Transaction, server: Server, news: JobNews) -> None:
        if news.intent is not None:
            ended = await JobStore(tx).record_news(news)
            if news.final and not ended:
                return  # told before
            if ended:
                await record_end(tx, news.intent, news.status, news.error)
            if ended and news.opcode == CREATION:
                # Only what is to be built was reserved on its cluster.
                await self._end_reservation(tx, news)
        outcome = lifecycle.on_job(server, news)
        if isinstance(outcome, Ignored):
            self.log.debug("news of server {id} ignored: {why}", id=server.id, why=outcome.reason)
            if news.final and news.intent is not None:
                await self._quota.settle(tx, news.intent, accept=False)
        elif not news.final:
            await ServerStore(tx).set_job_status(server.id, outcome.job_status)
        else:
            await self.change(tx, server, outcome, news.intent)
            if news.intent is None:
                await self._follow(tx, server, news)

    async def _follow(self, tx: Transaction, server: Server, news: JobNews) -> None:
        """Write down that a job of somebody else's on the cluster changed the server."""
        await record(
            tx,
            "compute:server:follow",
            "server",
            server.id,
            owner=server.userid,
            project=server.project,
            details=f"{news.opcode} {news.status}",
        )

    async def _end_reservation(self, tx: Transaction, news: JobNews) -> None:
        if news.intent is None:
            return
        if news.status in NEVER_RAN:
            await BackendStore(tx).cancel_reservation(news.intent)
        else:
            await BackendStore(tx).end_reservation(news.intent)

    async def change(
        self, tx: Transaction, server: Server, changes: Changes, intent: str | None
    ) -> None:
        """Carry out a transition of a locked server, and charge what it comes to."""
        store = ServerStore(tx)
        gone = await store.volumes(server.id) if changes.volumes == "DELETED" else ()
        after = await store.change(
            server.id,
            {
                "operstate": changes.operstate,
                "destroyed": changes.destroyed,
                "take_flavor": changes.take_task_flavor,
                "task_ended": changes.task_ended,
                "job_status": changes.job_status,
                "job_id": changes.job_id,
            },
        )
        if changes.volumes is not None:
            await store.set_volumes(server.id, changes.volumes)
        if changes.ports is not None:
            await PortStore(tx).set_state(server.id, changes.ports)
        if changes.diagnostic:
            await store.add_diagnostic(server.id, "ERROR", "ganeti-job", changes.diagnostic)
        if changes.parameters_ended:
            await self._parameters.end_of_server(tx, server.id)
        if changes.destroyed:
            await self._ports.release(tx, server.id)
        deltas = await self._deltas(tx, server, after, gone)
        await self._quota.settle_change(tx, intent or "", server.userid, server.project, deltas)

    async def _deltas(
        self, tx: Transaction, before: Server, after: Server, gone: Sequence[Volume]
    ) -> dict[str, int]:
        """What a transition charges; only volumes that went count, the others stay as they are."""
        flavors = FlavorStore(tx)
        flavor = await flavors.get(before.flavor)
        other = flavor if after.flavor == before.flavor else await flavors.get(after.flavor)
        counted = charges.total(charges.of_server(before, flavor), charges.of_volumes(gone))
        return charges.difference(charges.of_server(after, other), counted)
