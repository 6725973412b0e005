"""Which jobs are to be read: each once, so many at most, whatever happens meanwhile. Pure."""

from __future__ import annotations

from collections.abc import Collection

from attrs import define, field


@define
class Pending:
    """Numbers of jobs that have changed, oldest change first.

    Beyond ``jobs_max`` numbers are not kept: ``scan_after`` then tells that the queue folder must
    be looked through again, for jobs above that number; None when it need not.
    """

    jobs_max: int
    scan_after: int | None = None
    _jobs: dict[int, None] = field(factory=dict)

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: int) -> bool:
        return job_id in self._jobs

    def add(self, job_id: int) -> None:
        """A job has changed."""
        if job_id in self._jobs or len(self._jobs) < self.jobs_max:
            self._jobs[job_id] = None
        else:
            self.scan_after = 0

    def next(self) -> int | None:
        """Take the job that has waited longest; None if none waits."""
        if not self._jobs:
            return None
        job_id = next(iter(self._jobs))
        del self._jobs[job_id]
        return job_id

    def look_through(self) -> None:
        """The whole folder must be looked through."""
        self.scan_after = 0

    def take_scan(self) -> int | None:
        """Begin a look for jobs above this number, if one is needed."""
        after, self.scan_after = self.scan_after, None
        return after

    def found(self, job_ids: Collection[int], batch_max: int) -> None:
        """A look found these jobs, the lowest ``batch_max`` that it could."""
        if len(job_ids) >= batch_max and self.scan_after is None:
            self.scan_after = max(job_ids)
        for job_id in sorted(job_ids):
            self.add(job_id)

    def clear(self) -> None:
        """Nothing waits any more."""
        self._jobs.clear()
        self.scan_after = None
