"""``python -m bench.run [ONLY]``: measure, print a table, write ``bench/results.json``."""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from twisted.internet.defer import Deferred
from twisted.internet.task import react

from bench import (
    console,
    events,
    outbox,
    scale,
    servers_create,
    servers_detail,
    start,
    stream,
    wrapper,
)
from bench.measure import Measurement

BENCHES: dict[str, Callable[[], Awaitable[list[Measurement]]]] = {
    "servers-detail": servers_detail.measure,
    "servers-create": servers_create.measure,
    "events": events.measure,
    "scale": scale.measure,
    "console": console.measure,
    "start": start.measure,
    "wrapper": wrapper.measure,
    "stream": stream.measure,
    "outbox": outbox.measure,
}
FILE_COLUMNS = 132
RESULTS = Path(__file__).with_name("results.json")


def document(measured: Measurement) -> dict[str, object]:
    """A measurement as it is written down."""
    return {
        "name": measured.name,
        "ours": round(measured.ours.processor_us, 1),
        "peer": round(measured.peer.processor_us, 1),
        "ratio": round(measured.ratio, 3),
        "aim": measured.aim,
        "holds": measured.holds,
        "unit": measured.unit,
    }


def show(results: list[Measurement]) -> None:
    """Print the table."""
    table = Table()
    for header in (
        "measurement",
        "ours",
        "peer",
        "ratio",
        "aim",
        "holds",
        "ours/s",
        "peer/s",
        "unit",
    ):
        side = "left" if header in ("measurement", "unit") else "right"
        table.add_column(header, justify=side, no_wrap=True)
    for each in results:
        table.add_row(
            each.name, f"{each.ours.processor_us:.0f}", f"{each.peer.processor_us:.0f}",
            f"{each.ratio:.3f}", f"{each.aim:g}", "yes" if each.holds else "NO",
            f"{each.ours.per_second:.0f}", f"{each.peer.per_second:.0f}",
            each.unit,
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else FILE_COLUMNS).print(table)


async def measure_all(names: list[str]) -> None:
    """Measure, show, write."""
    results = [each for name in names for each in await BENCHES[name]()]
    show(results)
    documents = [document(each) for each in results]
    RESULTS.write_text(json.dumps(documents, indent=2, ensure_ascii=False) + "\n")


def main(arguments: list[str]) -> None:
    """Measure all, or the one that is named."""
    names = arguments or list(BENCHES)
    unknown = set(names) - set(BENCHES)
    if unknown:
        raise SystemExit(f"usage: python -m bench.run [{' | '.join(BENCHES)}]")
    react(lambda reactor: Deferred.fromCoroutine(measure_all(names)))


if __name__ == "__main__":
    main(sys.argv[1:])
