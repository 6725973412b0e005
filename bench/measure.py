"""Two sides, taken in turn; what an operation costs each in processor time, and its rate."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Collection

from attrs import frozen

from bench.processor import seconds_of

REPEATS = 5


@frozen
class Side:
    """``work(count)`` does operations, blocking; ``processes`` are charged for them."""

    name: str
    processes: Collection[int]
    work: Callable[[int], object]


@frozen
class Cost:
    """Medians over the repeats."""

    processor_us: float
    per_second: float


@frozen
class Measurement:
    """One line of the table; the ratio is peer ÷ ours of processor time, higher is better."""

    name: str
    ours: Cost
    peer: Cost
    aim: float
    unit: str = "processor µs per operation"

    @property
    def ratio(self) -> float:
        return self.peer.processor_us / self.ours.processor_us

    @property
    def holds(self) -> bool:
        return self.ratio >= self.aim


def compare(sides: Collection[Side], count: int, repeats: int = REPEATS) -> dict[str, Cost]:
    """The cost of each side by name: interleaved, after one turn to warm up.

    Who begins changes with each repeat: what grows with the work done is charged to all.
    """
    seen: dict[str, list[tuple[float, float]]] = {side.name: [] for side in sides}
    for repeat in range(repeats + 1):
        for side in list(sides)[:: -1 if repeat % 2 else 1]:
            begun, used = time.perf_counter(), seconds_of(side.processes)
            side.work(count)
            elapsed = time.perf_counter() - begun
            if repeat:
                spent = seconds_of(side.processes) - used
                seen[side.name].append((spent / count * 1e6, count / elapsed))
    return {
        name: Cost(
            statistics.median(spent for spent, _ in pairs),
            statistics.median(rate for _, rate in pairs),
        )
        for name, pairs in seen.items()
    }
