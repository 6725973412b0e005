"""News from clusters by message: to which intents they belong, and whom to tell.

A message is a third source of what the poller and reconciliation learn too, and takes the same
path. What belongs to an intent becomes news of its subject. What does not is an administrator's
job, or one of ours whose number is not stored yet: if it succeeded its effect on a server is
followed, and the poller is asked to look at the cluster.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import define
from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from synnefo_tx.db.pool import CommitUnknown, Database, DatabaseUnavailable
from synnefo_tx.ganeti.backends.store import all_backends
from synnefo_tx.ganeti.broker.model import Delivery, Outcome
from synnefo_tx.ganeti.jobs.model import Intent, JobNews
from synnefo_tx.ganeti.jobs.operations import Jobs
from synnefo_tx.ganeti.jobs.store import tied_intents
from synnefo_tx.ganeti.messages import (
    BuildProgress,
    ClusterStatus,
    Event,
    ImageReport,
    MalformedMessage,
    NetworkStatus,
    OpStatus,
    OtherMessage,
    parse,
)
from synnefo_tx.ganeti.requests import server_id

BACKENDS_AGE_SECONDS = 5.0
# Later statuses say what earlier ones said.
RANK = {"queued": 0, "waiting": 1, "canceling": 2, "running": 3}


class ProgressSubscriber(Protocol):
    """Who is told how far builds are."""

    async def apply(self, events: Sequence[BuildProgress | ImageReport]) -> None:
        """Apply some events, all or none."""


Hint = Callable[[int], None]
Status = OpStatus | NetworkStatus


@define(eq=False)
class _Told:
    """A message on its way: what it says, what became of it; its backend once that is known, and
    the news with their subject if it belongs to an intent."""

    event: Event
    outcome: Outcome = Outcome.APPLIED
    backend: int = 0
    intent: Intent | None = None
    news: JobNews | None = None

    @property
    def final(self) -> bool:
        return self.news is not None and self.news.final

    @property
    def subject_news(self) -> tuple[str, JobNews]:
        """Subject and news of a message that belongs to an intent."""
        assert self.intent is not None and self.news is not None
        return self.intent.subject, self.news


Work = Callable[[Sequence[_Told]], Awaitable[None]]


class ClusterEvents:
    """Applies messages: ``look_soon`` and ``refresh_soon`` are given the backend of a hint."""

    log = Logger()

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        progress: ProgressSubscriber,
        look_soon: Hint,
        refresh_soon: Hint,
        clock: IReactorTime,
        backend_prefix: str,
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._progress = progress
        self._look_soon = look_soon
        self._refresh_soon = refresh_soon
        self._clock = clock
        self._backend_prefix = backend_prefix
        self._backends: Mapping[str, int] = {}
        self._backends_read: float | None = None

    async def apply(self, deliveries: Sequence[Delivery]) -> list[Outcome]:
        """What became of each; LATER where the database was away.

        In one transaction what is not final, then each of the rest in one of its own, all at
        once. To apply a message twice does no harm.
        """
        told = [self._parse(each) for each in deliveries]
        waiting = [each for each in told if each.outcome is Outcome.APPLIED]
        try:
            await self._apply_all(waiting)
        except (DatabaseUnavailable, CommitUnknown) as error:
            self.log.warn("messages wait for the database: {error}", error=str(error))
            for each in waiting:
                each.outcome = Outcome.LATER
        return [each.outcome for each in told]

    def _parse(self, delivery: Delivery) -> _Told:
        if not delivery.oversized:
            try:
                event = parse(delivery.body)
            except MalformedMessage as error:
                why = str(error)
            else:
                ours = not isinstance(event, OtherMessage)
                return _Told(event, Outcome.APPLIED if ours else Outcome.IGNORED)
        else:
            why = "it is too long"
        self.log.warn("a message of {queue} is unreadable: {why}", queue=delivery.queue, why=why)
        return _Told(OtherMessage(""), Outcome.DEAD)

    async def _apply_all(self, told: Sequence[_Told]) -> None:
        known = await self._known(told)
        jobs = [each for each in known if isinstance(each.event, Status)]
        await self._tie(jobs)
        tied = _latest([each for each in jobs if each.intent is not None])
        builds = [each for each in told if isinstance(each.event, BuildProgress | ImageReport)]
        running = [each for each in tied if not each.final]
        work = [self._guarded([each], self._tell) for each in tied if each.final] + [
            self._guarded([each], self._follow) for each in jobs if each.intent is None
        ]
        if running:
            work.append(self._guarded(running, self._tell_running))
        if builds:
            work.append(self._guarded(builds, self._tell_builds))
        for each in known:
            if isinstance(each.event, ClusterStatus) and each.event.status == "success":
                self._refresh_soon(each.backend)
        await _all(work)

    async def _guarded(self, told: Sequence[_Told], work: Work) -> None:
        """Do the work of some messages. If it has a defect, each is tried by itself, so that only
        the one to blame is a dead letter."""
        try:
            await work(told)
        except (DatabaseUnavailable, CommitUnknown) as error:
            self.log.warn("messages wait for the database: {error}", error=str(error))
            for each in told:
                each.outcome = Outcome.LATER
        except CancelledError:
            raise
        except Exception:
            if len(told) > 1:
                for each in told:
                    await self._guarded([each], work)
                return
            self.log.failure("a message could not be applied")
            told[0].outcome = Outcome.DEAD

    async def _tell(self, told: Sequence[_Told]) -> None:
        for each in told:
            await self._jobs.apply(*each.subject_news)

    async def _tell_running(self, told: Sequence[_Told]) -> None:
        await self._jobs.apply_progress(each.subject_news for each in told)

    async def _tell_builds(self, told: Sequence[_Told]) -> None:
        events = [each.event for each in told]
        await self._progress.apply(
            [each for each in events if isinstance(each, BuildProgress | ImageReport)]
        )

    async def _follow(self, told: Sequence[_Told]) -> None:
        """News of jobs that are tied to no intent."""
        for each in told:
            event = each.event
            succeeded = isinstance(event, Status) and event.status == "success"
            each.outcome = Outcome.APPLIED if succeeded else Outcome.IGNORED
            if not succeeded:
                continue
            self._look_soon(each.backend)
            if isinstance(event, OpStatus):
                id = server_id(event.instance, self._backend_prefix)
                if id is not None:
                    await self._jobs.apply(f"server:{id}", _foreign(event, each.backend))

    async def _known(self, told: Iterable[_Told]) -> list[_Told]:
        """Those of a cluster that is one of ours."""
        found = []
        for each in told:
            event = each.event
            if not isinstance(event, Status | ClusterStatus):
                continue
            backend = await self._backend(event.cluster)
            if backend is None:
                each.outcome = Outcome.IGNORED
                self.log.info("a message of {cluster}, not ours", cluster=event.cluster)
            else:
                each.backend = backend
                found.append(each)
        return found

    async def _backend(self, cluster: str) -> int | None:
        now = self._clock.seconds()
        if self._backends_read is None or now - self._backends_read > BACKENDS_AGE_SECONDS:
            listed = await all_backends(self._database)
            self._backends = {each.clustername: each.id for each in listed}
            self._backends_read = now
        return self._backends.get(cluster)

    async def _tie(self, told: Sequence[_Told]) -> None:
        """Find the intents to which messages belong, with one statement for all."""
        if not told:
            return
        events = [(each, each.event) for each in told if isinstance(each.event, Status)]
        ids = {event.intent for _, event in events if event.intent is not None}
        jobs = {(each.backend, event.job_id) for each, event in events}
        found = await tied_intents(self._database, sorted(ids), sorted(jobs))
        by_id = {each.id: each for each in found}
        by_job = {(each.backend, each.job_id): each for each in found}
        for each, event in events:
            candidates = by_job.get((each.backend, event.job_id)), by_id.get(event.intent or "")
            for intent in candidates:
                if intent is not None and _belongs(event, each.backend, intent):
                    each.intent = intent
                    each.news = _news(event, intent)


def _latest(tied: Sequence[_Told]) -> list[_Told]:
    """Of each job what is final, or its latest status; the others say nothing more."""
    best: dict[str, _Told] = {}
    for each in tied:
        assert each.intent is not None and each.news is not None
        other = best.get(each.intent.id)
        if each.intent.ended is None and (other is None or _rank(other) < _rank(each)):
            best[each.intent.id] = each
    kept = list(best.values())
    for each in tied:
        if each not in kept:
            each.outcome = Outcome.IGNORED
    return kept


def _rank(told: _Told) -> int:
    assert told.news is not None
    return RANK.get(told.news.status, len(RANK))


def _belongs(event: Status, backend: int, intent: Intent) -> bool:
    """Whether an event really is about the intent's job: a message may say anything."""
    name = event.instance if isinstance(event, OpStatus) else event.network
    return (
        (intent.backend, intent.instance, intent.opcode) == (backend, name, event.operation)
        and intent.job_id in (None, event.job_id)
        and event.job_id > intent.last_job_id
    )


def _news(event: Status, intent: Intent) -> JobNews:
    return JobNews(
        backend=intent.backend,
        instance=intent.instance,
        opcode=intent.opcode,
        status=event.status,
        event_time=event.event_time,
        job_id=event.job_id,
        intent=intent.id,
        error=event.error,
        log=event.log,
    )


def _foreign(event: OpStatus, backend: int) -> JobNews:
    return JobNews(
        backend=backend,
        instance=event.instance,
        opcode=event.operation,
        status=event.status,
        event_time=event.event_time,
        job_id=event.job_id,
    )


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all at once; a failure of one ends none of the others."""
    running = gatherResults([Deferred.fromCoroutine(each) for each in work], consumeErrors=True)
    try:
        await running
    except FirstError as first:
        first.subFailure.raiseException()
