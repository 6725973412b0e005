"""A node's files as a Ganeti master keeps them: the job queue, and who is master.

With them ``twistd synnefo-eventd`` watches a cluster in memory as it watches a real one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from synnefo_tx.ganeti.memory.model import Job, Op


class JobFiles:
    """Writes each changed job to ``folder/queue`` as Ganeti does: whole, then renamed."""

    def __init__(self, folder: Path, cluster: str, node: str) -> None:
        self.queue = folder / "queue"
        (self.queue / "archive").mkdir(parents=True, exist_ok=True)
        self._replace(folder / "ssconf_cluster_name", f"{cluster}\n")
        self._replace(folder / "ssconf_master_node", f"{node}\n")

    def write(self, job: Job) -> None:
        """Write a job; an archived one moves into the archive."""
        name = f"job-{job.id}"
        if job.archived:
            archive = self.queue / "archive" / str(job.id // 10_000)
            archive.mkdir(exist_ok=True)
            (self.queue / name).unlink(missing_ok=True)
            self._replace(archive / name, json.dumps(document(job)))
        else:
            self._replace(self.queue / name, json.dumps(document(job)))

    def _replace(self, path: Path, text: str) -> None:
        fresh = path.with_name(f"{path.name}.new")
        fresh.write_text(text)
        fresh.replace(path)


def document(job: Job) -> dict[str, Any]:
    """A job as it stands in Ganeti's file (Ganeti 3.0, ``Ganeti.JQueue.Objects``)."""
    return {
        "id": job.id,
        "ops": [_op(job, op) for op in job.ops],
        "received_timestamp": _stamp(job.received),
        "start_timestamp": _stamp(job.started),
        "end_timestamp": _stamp(job.ended),
    }


def _op(job: Job, op: Op) -> dict[str, Any]:
    return {
        "input": op.input,
        "status": op.status,
        "result": op.result,
        "log": op.log,
        "start_timestamp": _stamp(job.started),
        "exec_timestamp": _stamp(job.started),
        "end_timestamp": _stamp(job.ended),
        "priority": 0,
    }


def _stamp(seconds: float | None) -> list[int] | None:
    return None if seconds is None else [int(seconds), int(seconds % 1 * 1_000_000)]
