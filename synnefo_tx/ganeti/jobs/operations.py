"""Jobs: submitting intents, finding them again, telling subscribers what became of them.

An intent is written in the transaction of the thing it is about. After the commit it is submitted;
a submission without an answer is looked up by its reason, never repeated blindly. A request that is
still in RAPI's own queue would not be found, so absence counts only in two looks some time apart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.backends.store import BackendStore
from synnefo_tx.ganeti.jobs import rules
from synnefo_tx.ganeti.jobs.model import Intent, JobNews, reason_of
from synnefo_tx.ganeti.jobs.store import JobStore, open_intents
from synnefo_tx.ganeti.rapi import JobView, Rapi, RapiError, RapiRefused, RapiUnanswered
from synnefo_tx.ganeti.requests import depends_on
from synnefo_tx.settings import Ganeti

NOW = "SELECT synnefo_now()"


class Subscriber(Protocol):
    """Who is told about the jobs of a kind of subject (``server``, ``network``)."""

    async def apply(self, news: JobNews) -> None:
        """Apply news of a job."""

    async def apply_progress(self, news: Sequence[JobNews]) -> None:
        """Apply news that are not final and have intents, of different jobs, all at once."""


class Clusters(Protocol):
    """Gives the client of a backend; raises RapiRefused for one that is offline."""

    async def rapi(self, backend: int) -> Rapi: ...


Submit = Callable[[Rapi, str, dict[str, Any], str], Awaitable[int]]

CALLS: Mapping[str, Submit] = {
    "create_instance": lambda rapi, name, body, reason: rapi.create_instance(body, reason),
    "delete_instance": lambda rapi, name, body, reason: rapi.delete_instance(
        name, reason, depends=body.get("depends", ())
    ),
    "startup": lambda rapi, name, body, reason: rapi.startup(name, reason),
    "shutdown": lambda rapi, name, body, reason: rapi.shutdown(name, reason),
    "reboot": lambda rapi, name, body, reason: rapi.reboot(name, reason, **body),
    "modify_instance": lambda rapi, name, body, reason: rapi.modify_instance(name, body, reason),
    "create_network": lambda rapi, name, body, reason: rapi.create_network(body, reason),
    "connect_network": lambda rapi, name, body, reason: rapi.connect_network(name, body, reason),
    "disconnect_network": lambda rapi, name, body, reason: rapi.disconnect_network(
        name, body["group"], reason
    ),
    "delete_network": lambda rapi, name, body, reason: rapi.delete_network(
        name, reason, depends=body.get("depends", ())
    ),
}
# Calls whose body may name jobs to wait for.
TAKES_DEPENDS = frozenset(
    {"create_instance", "delete_instance", "modify_instance", "connect_network", "delete_network"}
)


class Jobs:
    """Carries out intents and reports their outcome to the subscriber of their subject."""

    log = Logger()

    def __init__(
        self, database: Database, clusters: Clusters, clock: IReactorTime, settings: Ganeti
    ) -> None:
        self._database = database
        self._clusters = clusters
        self._clock = clock
        self._settings = settings
        self._subscribers: dict[str, Subscriber] = {}
        self._submit_limit = timedelta(seconds=settings.submit_limit_seconds)
        # A request may use its whole limit; a claim must outlive it.
        self._lease_seconds = settings.request_limit_seconds * 2 + 5

    def subscribe(self, kind: str, subscriber: Subscriber) -> None:
        """Tell ``subscriber`` about subjects that begin with ``kind:``."""
        self._subscribers[kind] = subscriber

    async def submit_soon(self, intents: Iterable[str]) -> None:
        """Submit new intents in order, waiting for their jobs' numbers a limited time.

        Later the caller goes on all the same; the submission does too.
        """
        work = Deferred.fromCoroutine(self._submit_all(list(intents)))
        done: Deferred[None] = Deferred(lambda d: None)

        def finish(result: object) -> None:
            if not done.called:
                done.callback(None)

        work.addErrback(lambda failure: self.log.failure("submission failed", failure))
        work.addBoth(finish)
        done.addTimeout(self._settings.submit_wait_seconds, self._clock)
        try:
            await done
        except TimeoutError:
            self.log.warn("a submission takes long; the sweep will settle it")

    async def _submit_all(self, intents: list[str]) -> None:
        for each in intents:
            await self.submit(each, attempts=0)

    async def submit(self, id: str, attempts: int) -> None:
        """Submit one intent unless somebody else does; its outcome is stored."""
        begun = self._clock.seconds()
        async with self._database.transaction("intent-claim") as tx:
            intent = await JobStore(tx).claim(id, attempts, self._lease_seconds)
            waits_for = [] if intent is None else await JobStore(tx).job_ids(intent.after)
        if intent is None:
            return
        # A process that was paused meanwhile must not send what another has sent since: it leaves
        # room for the request itself within the claim.
        if self._clock.seconds() - begun > self._lease_seconds / 2:
            self.log.warn("intent {intent}: the claim grew old before the request", intent=id)
            return
        await self._call(intent, waits_for)

    async def _call(self, intent: Intent, waits_for: list[int]) -> None:
        body = dict(intent.arguments)
        if intent.call in TAKES_DEPENDS:
            body.update(depends_on(waits_for))
        try:
            rapi = await self._clusters.rapi(intent.backend)
            job_id = await CALLS[intent.call](rapi, intent.instance, body, reason_of(intent.id))
        except RapiError as error:
            await self._tell(intent, "refused", error.message)
        except RapiRefused as error:
            self.log.warn("cluster {backend}: {error}", backend=intent.backend, error=str(error))
            async with self._database.transaction("intent-unclaim") as tx:
                await JobStore(tx).unclaim(intent)
        except RapiUnanswered as error:
            self.log.warn(
                "cluster {backend} did not answer for intent {intent}: {error}",
                backend=intent.backend,
                intent=intent.id,
                error=str(error),
            )
            async with self._database.transaction("intent-unanswered") as tx:
                await JobStore(tx).release_claim(intent)
        else:
            await self._record(intent, job_id)

    async def _record(self, intent: Intent, job_id: int) -> None:
        async with self._database.transaction("intent-submitted") as tx:
            await JobStore(tx).record_job(intent.id, job_id)
            await BackendStore(tx).raise_last_job(intent.backend, job_id)

    async def _tell(self, intent: Intent, status: str, error: str) -> None:
        now = await self._now()
        await self.apply(
            intent.subject,
            JobNews(
                backend=intent.backend,
                instance=intent.instance,
                opcode=intent.opcode,
                status=status,
                event_time=now,
                job_id=intent.job_id,
                intent=intent.id,
                error=error,
            ),
        )

    async def apply(self, subject: str, news: JobNews) -> None:
        """Give news to the subscriber of ``subject``."""
        await self._subscribers[subject.split(":", 1)[0]].apply(news)

    async def apply_progress(self, told: Iterable[tuple[str, JobNews]]) -> None:
        """Give news that are not final, with their subjects, to the subscribers; one transaction
        for each kind of subject."""
        kinds: dict[str, list[JobNews]] = {}
        for subject, news in told:
            kinds.setdefault(subject.split(":", 1)[0], []).append(news)
        for kind, each in kinds.items():
            await self._subscribers[kind].apply_progress(each)

    async def _now(self) -> datetime:
        now: datetime = (await self._database.read(NOW))[0][0]
        return now

    async def poll(self, backend: int) -> int:
        """Look at all open jobs of a cluster once; the count of intents still open then.

        Raises RapiFailure when the cluster does not answer.
        """
        intents = await open_intents(self._database, backend)
        known = {each.job_id: each for each in intents if each.job_id is not None}
        if known:
            rapi = await self._clusters.rapi(backend)
            seen = {job.id: job for job in await rapi.jobs_by_id(list(known))}
            now = await self._now()
            for job_id, intent in known.items():
                job = seen.get(job_id, JobView(id=job_id, status=None))
                await self._tell_view(intent, job, now)
        return len(await open_intents(self._database, backend)) if intents else 0

    async def _tell_view(self, intent: Intent, job: JobView, now: datetime) -> None:
        news = rules.news_of(intent, job, now)
        if news.final or news.status != intent.job_status:
            await self._guarded(intent, news)

    async def _guarded(self, intent: Intent, news: JobNews) -> None:
        """One subject that cannot be served must not keep the others waiting."""
        try:
            await self.apply(intent.subject, news)
        except CancelledError:
            raise
        except Exception:
            self.log.failure("news of intent {intent} could not be applied", intent=intent.id)

    async def sweep(self, backend: int) -> None:
        """Bring every intent of a cluster that has no job forward; see the head of the module."""
        now = await self._now()
        answer_limit = timedelta(seconds=self._settings.request_limit_seconds)
        owed: list[Intent] = []
        for intent in await open_intents(self._database, backend):
            if intent.job_id is not None:
                continue
            step = rules.next_step(intent, now, self._submit_limit, answer_limit)
            if step == "submit":
                await self.submit(intent.id, intent.attempts)
            elif step == "expire":
                await self._tell(intent, "lost", "no cluster took the request in time")
            elif step == "look":
                owed.append(intent)
        if owed:
            await self._look(backend, owed, now)

    async def _look(self, backend: int, intents: list[Intent], now: datetime) -> None:
        rapi = await self._clusters.rapi(backend)
        jobs = await rapi.jobs_since(min(each.last_job_id for each in intents))
        for intent in intents:
            job = rules.find_job(intent, jobs)
            if job is not None:
                self.log.info(
                    "intent {intent} is job {job}: found by its reason",
                    intent=intent.id,
                    job=job.id,
                )
                await self._record(intent, job.id)
                await self._tell_view(intent, job, now)
            else:
                await self._absent(intent, now)

    async def _absent(self, intent: Intent, now: datetime) -> None:
        gap = timedelta(seconds=self._settings.lost_look_seconds)
        meaning = rules.after_look(intent, now, self._submit_limit, gap)
        if meaning == "first absent":
            self.log.info("intent {intent} is on no list of jobs yet", intent=intent.id)
            async with self._database.transaction("intent-absent") as tx:
                await JobStore(tx).record_absent(intent.id)
        elif meaning == "submit":
            await self.submit(intent.id, intent.attempts)
        elif meaning == "lost":
            await self._tell(intent, "lost", "the cluster never took the request")
