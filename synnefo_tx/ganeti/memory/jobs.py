"""The job queue: submission, order, locks, execution, cancellation, archive.

A job is queued; then it waits for the locks of its opcode, runs, and ends. An opcode on an
instance that is not in the configuration fails without waiting, even while a job creates it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import attrs
from attrs import define, field, frozen
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from synnefo_tx.ganeti.memory.cluster import Cluster, OpFailed
from synnefo_tx.ganeti.memory.faults import Faults, JobFault
from synnefo_tx.ganeti.memory.locks import Locks
from synnefo_tx.ganeti.memory.model import Job, Op
from synnefo_tx.ganeti.memory.opcodes import Opcode
from synnefo_tx.ganeti.memory.run import Fetch, Run
from synnefo_tx.ganeti.memory.store import Change

MAX_RUNNING = 20
START_SHARE = 0.3
"""Part of a job's time that passes before it begins."""

_HELD_SECONDS = 1.0
_CANCELED = "Job canceled by request"
_LIBRARY = "gnt:library:rlib2"


@frozen
class Operation:
    """How an opcode is executed: a check before the locks, their names, and the work."""

    opcode: Opcode
    perform: Callable[[Run], Awaitable[Any]]
    check: Callable[[Cluster, Mapping[str, Any]], None]
    lock: Callable[[Mapping[str, Any]], str]


@define(eq=False)
class JobQueue:
    """Runs the jobs of one cluster."""

    log = Logger()

    cluster: Cluster
    operations: Mapping[str, Operation]
    faults: Faults
    fetch: Fetch | None
    _locks: Locks = field(factory=Locks, init=False)
    _running: dict[int, Deferred[None]] = field(factory=dict, init=False)
    _scheduled: dict[int, IDelayedCall] = field(factory=dict, init=False)
    _held_back: list[int] = field(factory=list, init=False)
    _watchers: list[Callable[[Job], None]] = field(factory=list, init=False)
    _stopped: bool = field(default=False, init=False)
    _highest_id: int = field(default=0, init=False)

    def recover(self) -> None:
        """Take up the jobs of an earlier life: queued ones go on, the others have died."""
        self._stopped = False
        self._highest_id = max((job.id for job in self.cluster.store.jobs.values()), default=0)
        for job in list(self.cluster.store.jobs.values()):
            if job.status == "queued":
                self._schedule(job.id)
            elif not job.final:
                self._bury(job.id)

    def stop(self) -> None:
        """Drop all work at once, as a power cut does; the state stays as it is."""
        self._stopped = True
        for running in list(self._running.values()):
            running.cancel()
        self._running.clear()
        self._held_back.clear()
        for call in self._scheduled.values():
            if call.active():
                call.cancel()
        self._scheduled.clear()
        self._locks = Locks()

    def submit(self, inputs: Sequence[Mapping[str, Any]], library: str, reason: str | None) -> int:
        """Accept a job; its id."""
        now = self.cluster.clock.seconds()
        job_id = self._highest_id = self._highest_id + 1
        ops = []
        for index, op in enumerate(inputs):
            trail = [] if reason is None else [["gnt:user", reason, int(now * 1e9)]]
            trail.append([f"{_LIBRARY}:{library}", "", int(now * 1e9)])
            source = f"gnt:opcode:{op['OP_ID'].removeprefix('OP_').lower()}"
            trail.append([source, f"job={job_id};index={index}", int(now * 1e9)])
            summary = self.operations[op["OP_ID"]].opcode.summary(op)
            ops.append(Op({**op, "reason": trail}, summary))
        self._save(Job(job_id, tuple(ops), now))
        self._schedule(job_id)
        return job_id

    def job(self, job_id: int) -> Job | None:
        """The job, archived or not."""
        return self.cluster.store.jobs.get(str(job_id))

    def cancel(self, job_id: int) -> tuple[bool, str]:
        """Cancel a job that has not begun to run, as luxid answers."""
        job = self.job(job_id)
        if job is None or job.archived or job.final:
            return False, f"Job {job_id} not found in queue"
        if job.status == "running":
            return False, "Job no longer waiting, can't cancel (informed it anyway)"
        text = f"Dequeued job {job_id}" if job.status == "queued" else f"Job {job_id} canceled"
        running = self._running.pop(job_id, None)
        self._finish(job_id, "canceled", _CANCELED)
        if running is not None:
            running.cancel()
        return True, text

    def watch(self, watcher: Callable[[Job], None]) -> Callable[[], None]:
        """Call ``watcher`` with each changed job; gives what ends it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def archive(self, job_ids: Sequence[int]) -> None:
        """Archive these jobs, those of them that have ended."""
        for job_id in job_ids:
            job = self.job(job_id)
            if job is not None and job.final and not job.archived:
                self._save(attrs.evolve(job, archived=True))

    def archive_old(self) -> None:
        """Do what Ganeti's watcher does: archive ended jobs, forget the oldest of the archive."""
        config, jobs = self.cluster.config, self.cluster.store.jobs.values()
        limit = self.cluster.clock.seconds() - config.archive_after_seconds
        self.archive([job.id for job in jobs if (job.ended or limit) < limit])
        archived = sorted(job.id for job in jobs if job.archived)
        gone: list[Change] = [("jobs", str(job_id), None) for job_id in archived]
        gone = gone[: max(0, len(gone) - config.archived_jobs_kept)]
        if gone:
            self.cluster.store.commit(*gone)

    def _schedule(self, job_id: int, seconds: float | None = None) -> None:
        share = START_SHARE * self.cluster.config.job_seconds
        delay = share if seconds is None else seconds
        self._scheduled[job_id] = self.cluster.clock.callLater(delay, self._begin, job_id)

    def _begin(self, job_id: int) -> None:
        """Start the job if nothing holds it back; who ends, begins those who wait."""
        self._scheduled.pop(job_id, None)
        job = self.job(job_id)
        if self._stopped or job is None or job.status != "queued" or job_id in self._running:
            return
        opcode = job.ops[0].input["OP_ID"]
        if self.faults.holds(opcode):
            self._schedule(job_id, _HELD_SECONDS)
            return
        if not self._may_begin(job):
            return
        if self.faults.take_job(JobFault.FAILS, opcode):
            self._finish(job_id, "error", ["OpExecError", ["a fault was set for this job"]])
            return
        self._save(attrs.evolve(job, started=self.cluster.clock.seconds()))
        running = Deferred.fromCoroutine(self._execute(job_id))
        if not running.called:
            self._running[job_id] = running
        running.addBoth(self._ended, job_id)

    def _ended(self, result: Any, job_id: int) -> None:
        self._running.pop(job_id, None)
        if isinstance(result, Failure) and not result.check(defer.CancelledError):
            self.log.failure("job {job} of {cluster} broke", result, job=job_id)
            self._bury(job_id)

    def _may_begin(self, job: Job) -> bool:
        """Whether there is room and the jobs waited for have ended well; else see to it."""
        waiting = len(self._running) >= MAX_RUNNING
        for wanted_id, statuses in job.ops[0].input["depends"] or ():
            wanted = self.job(wanted_id)
            if wanted is None:
                text = f"Dependency error: Job {wanted_id} not found"
                self._finish(job.id, "error", ["OpExecError", [text]])
                return False
            if wanted.final and wanted.status not in statuses:
                self._refuse_dependency(job.id, wanted, statuses)
                return False
            waiting = waiting or not wanted.final
        if waiting:
            self._held_back.append(job.id)
        return not waiting

    def _refuse_dependency(self, job_id: int, wanted: Job, statuses: Sequence[str]) -> None:
        if wanted.status == "canceled":
            self._finish(job_id, "canceled", f"Dependency job {wanted.id} was cancelled")
            return
        allowed = ", ".join(f"'{status}'" for status in statuses)
        text = f"Dependency job {wanted.id} finished with status '{wanted.status}', "
        self._finish(job_id, "error", ["OpExecError", [f"{text}not one of {allowed} as required"]])

    async def _execute(self, job_id: int) -> None:
        """Run the opcodes one after the other; after a failure the others fail too."""
        last = len(self._known(job_id).ops) - 1
        for index in range(last + 1):
            try:
                result = await self._execute_op(job_id, index)
            except OpFailed as failed:
                self._finish(
                    job_id,
                    "error",
                    ["OpExecError", ["Preceding opcode failed"]],
                    {index: failed.result},
                )
                return
            if index < last:
                self._set_op(job_id, index, status="success", result=result)
            else:
                self._finish(job_id, "success", result)

    async def _execute_op(self, job_id: int, index: int) -> Any:
        op = self._known(job_id).ops[index].input
        operation = self.operations[op["OP_ID"]]
        self._set_op(job_id, index, status="waiting")
        operation.check(self.cluster, op)
        name = operation.lock(op)
        await self._locks.take(name)
        locks = self._locks
        try:
            if self._stopped:
                raise defer.CancelledError
            self._set_op(job_id, index, status="running")
            operation.check(self.cluster, op)
            if op["dry_run"]:
                return None
            if self.faults.take_job(JobFault.DIES, op["OP_ID"]):
                self.cluster.clock.callLater(0, self.kill, job_id)
            run = Run(
                self.cluster,
                op,
                lambda text: self._log(job_id, index, text),
                self.fetch,
                lambda: self.faults.take_job(JobFault.HOTPLUG_FAILS, op["OP_ID"]) is not None,
            )
            return await operation.perform(run)
        finally:
            locks.give(name)

    def kill(self, job_id: int) -> None:
        """The job's process is killed: what it did stays, the rest is not done."""
        running = self._running.pop(job_id, None)
        if running is not None:
            self._bury(job_id)
            running.cancel()

    def _bury(self, job_id: int) -> None:
        self._finish(job_id, "error", f"detected death of job {job_id}")

    def _log(self, job_id: int, index: int, text: str) -> None:
        log = self._known(job_id).ops[index].log
        seconds = self.cluster.clock.seconds()
        stamp = [int(seconds), int(seconds % 1 * 1_000_000)]
        self._set_op(job_id, index, log=(*log, (len(log) + 1, stamp, "message", text)))

    def _known(self, job_id: int) -> Job:
        return self.cluster.store.jobs[str(job_id)]

    def _set_op(self, job_id: int, index: int, **changes: Any) -> None:
        job = self._known(job_id)
        op = attrs.evolve(job.ops[index], **changes)
        self._save(attrs.evolve(job, ops=(*job.ops[:index], op, *job.ops[index + 1 :])))

    def _finish(
        self, job_id: int, status: str, result: Any, results: Mapping[int, Any] | None = None
    ) -> None:
        """End the opcodes that have not ended, and the job, in one step."""
        job = self._known(job_id)
        ops = tuple(
            op
            if op.status == "success"
            else attrs.evolve(op, status=status, result=(results or {}).get(index, result))
            for index, op in enumerate(job.ops)
        )
        opcode = ops[0].input["OP_ID"]
        early = self.faults.take_job(JobFault.ARCHIVED_EARLY, opcode) is not None
        ended = self.cluster.clock.seconds()
        self._running.pop(job_id, None)
        self._save(attrs.evolve(job, ops=ops, ended=ended, archived=early))
        held_back, self._held_back = self._held_back, []
        for other in held_back:
            self._schedule(other, 0)

    def _save(self, job: Job) -> None:
        self.cluster.store.commit(("jobs", str(job.id), job))
        for watcher in list(self._watchers):
            watcher(job)
