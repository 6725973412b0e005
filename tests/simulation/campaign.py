"""Many runs, and what they came to; prints how fast, so that it cannot decay unseen."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path


def each(name: str, runs: Iterable[Callable[[], object]]) -> int:
    """Do the runs; how many. Raises AssertionError that tells of all that broke."""
    broken: list[str] = []
    started, count = time.monotonic(), 0
    for run in runs:
        count += 1
        try:
            run()
        except Exception as error:
            notes = "\n  ".join(getattr(error, "__notes__", []))
            broken.append(f"{type(error).__name__}: {error}\n  {notes}")
    speed = count / (time.monotonic() - started) * 60
    tell(f"simulation: {name}: {count} runs, {speed:.0f} per minute")
    if broken:
        raise AssertionError(f"{len(broken)} of {count} runs broke\n" + "\n".join(broken[:10]))
    return count


def tell(line: str) -> None:
    """Print, and write to a file below trial's folder, which ``make test`` prints at its end."""
    sys.stdout.write(line + "\n")
    with Path("simulation.log").open("a") as stream:
        stream.write(line + "\n")
