"""The files of a Ganeti node and our own state file. All of it blocks: call it in a thread."""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from synnefo_tx.ganeti.eventd.jobfile import read_job
from synnefo_tx.ganeti.eventd.model import BadJobFile, Job
from synnefo_tx.ganeti.eventd.progress import STATE_MAX_BYTES, BadState, Progress, decode

JOB_FILE = re.compile(r"job-([1-9][0-9]{0,17})", re.ASCII)
JOBS_PER_ARCHIVE_FOLDER = 10_000
SSCONF_MAX_BYTES = 128 * 1024


def job_number(name: str) -> int | None:
    """The number of the job whose file has this name; None for other files."""
    matched = JOB_FILE.fullmatch(name)
    return int(matched[1]) if matched else None


@frozen
class Node:
    """What a node knows of its cluster: its name, and who is master.

    ``queue`` identifies the queue folder, None when there is none.
    """

    cluster: str
    master: str
    queue: tuple[int, int] | None


@frozen
class Filed:
    """A job as it is filed: in the queue, or already in the archive."""

    job: Job
    archived: bool


def read_node(ssconf: Path, queue: Path) -> Node:
    """Read Ganeti's ``ssconf`` files. Empty names where there is no cluster (any more)."""
    return Node(
        _ssconf(ssconf / "ssconf_cluster_name"),
        _ssconf(ssconf / "ssconf_master_node"),
        _identity(queue),
    )


def _ssconf(path: Path) -> str:
    try:
        return _read(path, SSCONF_MAX_BYTES).decode("ascii", "replace").strip()
    except OSError:
        return ""


def _identity(folder: Path) -> tuple[int, int] | None:
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def read_filed(queue: Path, job_id: int, max_bytes: int) -> Filed | None:
    """A job from the queue or its archive; None when it is in neither.

    Raises BadJobFile, and OSError when the file cannot be read.
    """
    name = f"job-{job_id}"
    places = ((queue / name, False), (_archive(queue, job_id) / name, True))
    for path, archived in places:
        try:
            content = _read(path, max_bytes)
        except FileNotFoundError:
            continue
        job = read_job(content)
        if job.id != job_id:
            raise BadJobFile(f"it is of job {job.id}")
        return Filed(job, archived)
    return None


def _archive(queue: Path, job_id: int) -> Path:
    return queue / "archive" / str(job_id // JOBS_PER_ARCHIVE_FOLDER)


def _read(path: Path, max_bytes: int) -> bytes:
    with path.open("rb") as stream:
        content = stream.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise BadJobFile(f"{path.name} has more than {max_bytes} bytes")
    return content


def list_jobs(queue: Path, after: int, batch_max: int) -> list[int]:
    """The lowest ``batch_max`` numbers above ``after`` of jobs in the queue. Raises OSError."""
    return heapq.nsmallest(batch_max, (each for each in _numbers(queue) if each > after))


def gone_jobs(queue: Path, known: set[int]) -> set[int]:
    """Those of the known jobs that are not in the queue. Raises OSError."""
    gone = set(known)
    for number in _numbers(queue):
        gone.discard(number)
    return gone


def _numbers(queue: Path) -> Iterator[int]:
    with os.scandir(queue) as entries:
        for entry in entries:
            number = job_number(entry.name)
            if number is not None:
                yield number


def read_state(path: Path) -> Progress | None:
    """What was told before; None at the very first start. Raises BadState and OSError."""
    try:
        return decode(_read(path, STATE_MAX_BYTES))
    except FileNotFoundError:
        return None
    except BadJobFile as error:
        raise BadState(str(error)) from None


def write_state(path: Path, progress: Progress) -> None:
    """Replace the state file at once; after a power cut it is the old one or the new one."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(progress.encode())
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
