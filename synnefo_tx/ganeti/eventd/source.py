"""The source of events: from changed job files to confirmed messages, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from attrs import evolve, frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from synnefo_tx.ganeti.broker.model import Unroutable
from synnefo_tx.ganeti.eventd import files
from synnefo_tx.ganeti.eventd.jobfile import announcements, with_details
from synnefo_tx.ganeti.eventd.model import Announcement, BadJobFile, Publisher
from synnefo_tx.ganeti.eventd.pending import Pending
from synnefo_tx.ganeti.eventd.progress import BadState, Progress
from synnefo_tx.ganeti.eventd.watch import QueueWatch
from synnefo_tx.ganeti.model import Json
from synnefo_tx.settings import Eventd
from synnefo_tx.threads import Threads
from synnefo_tx.timers import Periodic

UNWANTED_MAX = 1000


class Details(Protocol):
    """Knows what job files do not tell of an instance."""

    async def of(self, instance: str) -> Json:
        """Further fields of a message; empty if they cannot be had now."""


@frozen
class Edges:
    """What the source gets from outside. ``node`` is this node's name in its cluster."""

    publisher: Publisher
    details: Details
    node: str
    reactor: Any
    threads: Threads


class EventSource(Service):
    """Publishes what happens to jobs while this node is master.

    One message is under way at a time, so that an instance's messages keep their order. While no
    broker confirms, only numbers of jobs are kept, and the files are read when one does.
    """

    log = Logger()

    def __init__(self, settings: Eventd, state_file: Path, edges: Edges) -> None:
        self._settings, self._state_file, self._edges = settings, state_file, edges
        self._queue, self._ssconf = Path(settings.queue_folder), Path(settings.ssconf_folder)
        self._reactor = edges.reactor
        self._pending = Pending(settings.pending_max)
        self._watch = QueueWatch(
            self._queue, self._changed, self._gone, self._dropped, self._reactor
        )
        self._progress = self._first()
        self._unsaved = False
        self._master = False
        self._was_other = False
        self._unwanted: dict[str, float] = {}
        self._probes: dict[str, Deferred[None]] = {}
        self._idle: Deferred[None] | None = None
        self._pausing: Deferred[None] | None = None
        self._working: Deferred[None] | None = None
        self._timers = [
            Periodic("node", settings.check_seconds, self._check, self._reactor),
            Periodic("state", settings.save_seconds, self._save, self._reactor),
        ]

    def startService(self) -> None:
        super().startService()
        self._working = Deferred.fromCoroutine(self._work())
        self._working.addErrback(self._ended)

    async def stopService(self) -> None:
        """Stop: what is under way may be confirmed within the limit; then the state is kept."""
        super().stopService()
        self._watch.stop()
        self._wake_up()
        if self._pausing is not None:
            self._pausing.cancel()
        for probing in list(self._probes.values()):
            probing.cancel()
        working, self._working = self._working, None
        if working is not None:
            await working.addTimeout(self._settings.stop_limit_seconds, self._reactor)
        for timer in self._timers:
            if timer.running:
                await maybeDeferred(timer.stopService)
        await self._save()

    def _ended(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            self.log.warn("stopped before all was confirmed")
        else:
            self.log.failure("the source of events ends", failure)
            self._reactor.stop()

    # What is known of the node and the queue

    async def _check(self) -> None:
        """Who is master now, and is the folder that we watch still the queue?"""
        node = await self._thread(files.read_node, self._ssconf, self._queue)
        if not self.running:
            return
        if self._watch.follow(node.queue):
            self._dropped()
        self._take_role(bool(node.master) and node.master == self._edges.node)

    def _take_role(self, master: bool) -> None:
        if master and not self._master:
            if self._was_other:
                # What another master told is not known here: not the whole history again.
                self._progress.since = max(self._progress.since, self._first().since)
            self.log.info("this node is master: events are published")
            self._master = True
            self._dropped()
        elif not master:
            if self._master or not self._was_other:
                self.log.info("this node is not master: events are not published")
            self._master, self._was_other = False, True
            self._pending.clear()

    def _changed(self, job_id: int) -> None:
        if self._master:
            self._pending.add(job_id)
            self._wake_up()

    def _gone(self, job_id: int) -> None:
        if job_id not in self._pending:
            self._progress.forget(job_id)
            self._unsaved = True

    def _dropped(self) -> None:
        if self._master:
            self._pending.look_through()
            self._wake_up()

    # The loop

    async def _work(self) -> None:
        self._progress = await self._load()
        for timer in self._timers:
            if self.running:
                timer.startService()
        while self.running:
            job_id = self._pending.next()
            if job_id is not None:
                await self._tell(job_id)
            elif self._pending.scan_after is not None:
                await self._scan()
            else:
                self._progress.trim()
                await self._rest()

    async def _load(self) -> Progress:
        try:
            known = await self._thread(files.read_state, self._state_file)
        except (BadState, OSError) as error:
            self.log.error("{path}: {error}", path=self._state_file, error=str(error))
            known = None
        return self._first() if known is None else known

    def _first(self) -> Progress:
        """What counts as told when nothing is known."""
        return Progress(int(self._reactor.seconds() - self._settings.history_seconds))

    async def _save(self) -> None:
        if self._unsaved:
            self._unsaved = False
            kept = evolve(self._progress, jobs=dict(self._progress.jobs))
            try:
                await self._thread(files.write_state, self._state_file, kept)
            except OSError as error:
                self._unsaved = True
                self.log.error("{path}: {error}", path=self._state_file, error=str(error))

    async def _scan(self) -> None:
        """Look through the queue for jobs, a part at a time."""
        after = self._pending.take_scan() or 0
        batch_max = max(self._settings.pending_max // 2, 1)
        try:
            if after == 0:
                known = set(self._progress.jobs)
                for job_id in await self._thread(files.gone_jobs, self._queue, known):
                    self._gone(job_id)
            found = await self._thread(files.list_jobs, self._queue, after, batch_max)
        except OSError as error:
            self.log.error("{folder}: {error}", folder=self._queue, error=str(error))
            await self._pause()
            self._dropped()
            return
        if self._master:
            self._pending.found(found, batch_max)

    async def _tell(self, job_id: int) -> None:
        """Publish what is new of one job."""
        try:
            node = await self._thread(files.read_node, self._ssconf, self._queue)
            self._take_role(bool(node.master) and node.master == self._edges.node)
            if not self._master:
                return
            limit = self._settings.job_file_max_bytes
            filed = await self._thread(files.read_filed, self._queue, job_id, limit)
            if filed is not None:
                await self._announce(filed, node.cluster)
        except (BadJobFile, OSError) as error:
            self.log.error("job {job}: {error}", job=job_id, error=str(error))
            return
        except CancelledError:
            raise
        except Exception as error:
            self.log.warn("job {job} is not told: {error}", job=job_id, error=repr(error))
            self._pending.add(job_id)
            await self._pause()
            return
        if filed is None or filed.archived:
            self._gone(job_id)

    async def _announce(self, filed: files.Filed, cluster: str) -> None:
        job = filed.job
        for each in self._progress.news(job, announcements(job, cluster)):
            await self._send(await self._complete(each))
            self._progress.confirmed(job, each)
            self._unsaved = True
            self.log.debug(
                "{operation} of job {job}: {mark}",
                operation=each.content["operation"],
                job=job.id,
                mark=each.mark,
            )

    async def _send(self, announcement: Announcement) -> None:
        """Have a message confirmed, or find that no queue takes it.

        An instance that is nobody's may have a dash in its name, and finding out takes the
        publisher some time. So it is waited for once; then now and then, beside the others.
        """
        key = announcement.routing_key
        if key not in self._unwanted:
            await self._publish(key, announcement.body)
        elif self._reactor.seconds() >= self._unwanted[key] and key not in self._probes:
            self._unwanted[key] = self._reactor.seconds() + self._settings.unwanted_seconds
            probing = Deferred.fromCoroutine(self._publish(key, announcement.body))
            self._probes[key] = probing
            probing.addErrback(self._probe_failed, key)
            probing.addBoth(lambda _: self._probes.pop(key, None))

    async def _publish(self, key: str, body: bytes) -> None:
        try:
            await self._edges.publisher.publish(key, body)
        except Unroutable as error:
            self.log.warn("{key}: {error}", key=key, error=str(error))
            if len(self._unwanted) >= UNWANTED_MAX:
                self._unwanted.clear()
            self._unwanted[key] = self._reactor.seconds() + self._settings.unwanted_seconds
        else:
            self._unwanted.pop(key, None)

    def _probe_failed(self, failure: Failure, key: str) -> None:
        if not failure.check(CancelledError):
            self.log.warn("{key}: {error}", key=key, error=repr(failure.value))

    async def _complete(self, announcement: Announcement) -> Announcement:
        if not announcement.wants_details:
            return announcement
        details = await self._edges.details.of(announcement.content["instance"])
        return with_details(announcement, details)

    # Waiting

    async def _rest(self) -> None:
        """Wait until there is something to do."""
        if self.running:
            self._idle = Deferred()
            await self._idle

    def _wake_up(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.callback(None)

    async def _pause(self) -> None:
        """Wait before something is tried again; stopping ends it with CancelledError."""
        if self.running:
            self._pausing = deferLater(self._reactor, self._settings.retry_seconds)
            try:
                await self._pausing
            finally:
                self._pausing = None

    async def _thread(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._edges.threads.run(partial(function, *arguments))
