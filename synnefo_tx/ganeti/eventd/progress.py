"""What has been told of which job, so that a restart neither loses nor repeats. Pure."""

from __future__ import annotations

import json
from typing import Any

from attrs import define, field, frozen

from synnefo_tx.ganeti.eventd.model import Announcement, Job

VERSION = 1
JOBS_MAX = 20_000
STATE_MAX_BYTES = 16 * 1024 * 1024


class BadState(Exception):
    """The state file is not one; the text says what is wrong."""


@frozen
class Told:
    """What was confirmed of a job: marks by operation. ``received`` and ``ended`` are seconds by
    the cluster's clock; a job of the same number received at another time is another job."""

    received: int
    ended: int | None
    marks: dict[int, str]


@define
class Progress:
    """What was confirmed of each job in the queue.

    ``since``: a job of which nothing is known and that ended then or before is not told.
    """

    since: int
    jobs: dict[int, Told] = field(factory=dict)

    def news(self, job: Job, announcements: list[Announcement]) -> list[Announcement]:
        """Those of a job's announcements that are not yet confirmed."""
        told = self._told(job)
        if not told and job.ended is not None and job.ended <= self.since:
            return []
        return [each for each in announcements if told.get(each.op) != each.mark]

    def confirmed(self, job: Job, announcement: Announcement) -> None:
        """An announcement was confirmed."""
        marks = {**self._told(job), announcement.op: announcement.mark}
        self.jobs[job.id] = Told(job.received[0], job.ended, marks)

    def _told(self, job: Job) -> dict[int, str]:
        told = self.jobs.get(job.id)
        return told.marks if told is not None and told.received == job.received[0] else {}

    def forget(self, job_id: int) -> None:
        """The job has left the queue."""
        self.jobs.pop(job_id, None)

    def trim(self, jobs_max: int = JOBS_MAX) -> None:
        """Keep at most ``jobs_max`` jobs by forgetting those that ended first.

        Only when nothing waits to be told: whatever ended before them counts as told.
        """
        if len(self.jobs) <= jobs_max:
            return
        ended = sorted(
            (told.ended, job_id) for job_id, told in self.jobs.items() if told.ended is not None
        )
        for moment, job_id in ended[: len(self.jobs) - jobs_max * 3 // 4]:
            self.since = max(self.since, moment)
            del self.jobs[job_id]

    def encode(self) -> bytes:
        """The content of a state file."""
        jobs = {
            str(job_id): [told.received, told.ended, told.marks]
            for job_id, told in self.jobs.items()
        }
        return json.dumps({"version": VERSION, "since": self.since, "jobs": jobs}).encode("ascii")


def decode(content: bytes) -> Progress:
    """Read a state file. Raises BadState."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadState(f"not JSON: {error}") from None
    match document:
        case {"version": 1, "since": int(since), "jobs": dict(jobs)}:
            return Progress(since, {_number(key): _told(each) for key, each in jobs.items()})
    raise BadState("not a state of this version")


def _number(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 20:
        return int(text)
    raise BadState(f"{text!r:.50} is no number")


def _told(value: Any) -> Told:
    match value:
        case [int(received), int() | None as ended, dict(marks)]:
            if all(isinstance(each, str) for each in marks.values()):
                return Told(
                    received, ended, {_number(index): each for index, each in marks.items()}
                )
    raise BadState("an entry that is none")
