"""Pure decisions about intents: what a sweep does next, and what a job says."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal

from synnefo_tx.ganeti.jobs.model import Intent, JobNews, reason_of
from synnefo_tx.ganeti.model import JobView

Step = Literal["wait", "submit", "look", "expire"]

ERROR_MAX_CHARACTERS = 500


def next_step(
    intent: Intent, now: datetime, submit_limit: timedelta, answer_limit: timedelta
) -> Step:
    """What to do with an intent that has no job.

    Never tried: submit. Tried without an answer: look for its job, but not before RAPI itself
    would have given up, because the request may still stand in its queue. Both only until
    ``submit_limit`` after it was written, unless a look is still owed.
    """
    if intent.attempted is None:
        return "submit" if now - intent.created < submit_limit else "expire"
    if now - intent.attempted < answer_limit:
        return "wait"
    return "look"


def after_look(
    intent: Intent, now: datetime, submit_limit: timedelta, look_gap: timedelta
) -> Literal["first absent", "wait", "submit", "lost"]:
    """What a look that found no job means: absence counts after two looks ``look_gap`` apart."""
    if intent.absent_since is None:
        return "first absent"
    if now - intent.absent_since < look_gap:
        return "wait"
    return "submit" if now - intent.created < submit_limit else "lost"


def find_job(intent: Intent, jobs: Iterable[JobView]) -> JobView | None:
    """The job that carries the intent's reason, if it is among ``jobs``."""
    reason = reason_of(intent.id)
    return next((job for job in jobs if reason in job.reasons), None)


def news_of(intent: Intent, job: JobView, now: datetime) -> JobNews:
    """What a view of the intent's job says now."""
    status = job.status or "lost"
    if not job.final and now > intent.deadline:
        status = "expired"
    times = (job.ended_at, job.started_at, job.received_at)
    stamp = next((each for each in times if each is not None), None)
    return JobNews(
        backend=intent.backend,
        instance=intent.instance,
        opcode=intent.opcode,
        status=status,
        event_time=now if stamp is None else datetime.fromtimestamp(stamp, UTC),
        job_id=job.id,
        intent=intent.id,
        error=error_text(job),
        log=last_log(job),
    )


def last_log(job: JobView) -> str:
    """The text of the last log entry."""
    for entries in reversed(job.oplog):
        for entry in reversed(entries):
            if len(entry) >= 4:
                return str(entry[3])[:ERROR_MAX_CHARACTERS]
    return ""


def error_text(job: JobView) -> str:
    """Why a job failed: the text of the first failed opcode's result."""
    if job.status not in ("error", "canceled"):
        return ""
    if job.status == "canceled":
        return "the job was canceled"
    for result in job.opresult:
        if isinstance(result, list | tuple) and len(result) == 2 and isinstance(result[1], list):
            details = result[1]
            if details:
                return str(details[0])[:ERROR_MAX_CHARACTERS]
    return "the job failed without a reason"
