"""Processor time of processes and all their descendants, and memory, from /proc (proc(5))."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")


def seconds_of(roots: Collection[int]) -> float:
    """User and system time of the trees below ``roots``, with children that have ended."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue  # it ended meanwhile
        # The name is in parentheses and may hold anything.
        fields = text.rpartition(")")[2].split()
        pid = int(entry.parent.name)
        parents[pid] = int(fields[1])
        ticks[pid] = sum(map(int, fields[11:15]))
    return sum(ticks[pid] for pid in ticks if _is_below(pid, roots, parents)) * TICK_SECONDS


def _is_below(pid: int, roots: Collection[int], parents: dict[int, int]) -> bool:
    while pid > 1:
        if pid in roots:
            return True
        pid = parents.get(pid, 0)
    return False


def anonymous_kib(process: int) -> int:
    """Memory in use by a process that is no file's, in KiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    raise RuntimeError(f"process {process} has no memory")
