"""What the service counts: one registry, given to those who count.

Where several processes serve one port, each keeps its counts in files below a common folder, and
whoever is asked adds them up (prometheus_client's multiprocess mode, which its environment variable
chose before it was imported). What is read when somebody asks is a ``Reading`` and needs no file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from synnefo_tx.threads import Threads

Several = Literal["livesum", "livemostrecent"]
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


class Reading(Collector):
    """A gauge whose values are those of the moment when it was last read."""

    def __init__(self, name: str, text: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._text = text
        self._labels = labels
        self._values: dict[tuple[str, ...], float] = {}

    def set(self, value: float, *labels: object) -> None:
        """The value for these labels."""
        self._values[tuple(map(str, labels))] = value

    def clear(self) -> None:
        """Forget all values."""
        self._values.clear()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


class Metrics:
    """The metrics served at /metrics; ``folder`` is that of all processes, if there are several,
    and is read in ``threads``."""

    def __init__(self, folder: Path | None = None, threads: Threads | None = None) -> None:
        self._folder = folder
        self._threads = threads
        self.registry = CollectorRegistry()
        self._readings = CollectorRegistry()
        self._before_text: list[Callable[[], None]] = []
        self.requests = Counter(
            "synnefo_requests",
            "Requests by endpoint and status",
            ["endpoint", "status"],
            registry=self.registry,
        )
        self.request_seconds = Histogram(
            "synnefo_request_seconds",
            "Time to answer, by endpoint",
            ["endpoint"],
            registry=self.registry,
        )
        self.defects = Counter(
            "synnefo_defects",
            "Unexpected errors, by endpoint",
            ["endpoint"],
            registry=self.registry,
        )
        self.refusals = Counter(
            "synnefo_rate_refusals",
            "Requests refused because there were too many, by class and by what was counted",
            ["rate", "subject"],
            registry=self.registry,
        )
        self._children: dict[tuple[str, int], tuple[Counter, Histogram]] = {}

    def count(self, endpoint: str, status: int, seconds: float) -> None:
        """Count a request that was answered after ``seconds``."""
        found = self._children.get((endpoint, status))
        if found is None:
            # Looking a child up by its labels costs more than counting.
            requests = self.requests.labels(endpoint, str(status))
            found = requests, self.request_seconds.labels(endpoint)
            self._children[endpoint, status] = found
        found[0].inc()
        found[1].observe(seconds)

    def gauge(
        self, name: str, text: str, labels: tuple[str, ...] = (), several: Several = "livesum"
    ) -> Gauge:
        """A gauge that each process sets for itself; ``several`` says what is shown of those of
        all processes that live, by default their sum."""
        return Gauge(name, text, labels, registry=self.registry, multiprocess_mode=several)

    def reading(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Reading:
        """A gauge that is read when somebody asks, and then true of the whole service."""
        reading = Reading(name, text, labels)
        self._readings.register(reading)
        return reading

    def before_text(self, read: Callable[[], None]) -> None:
        """Call ``read`` whenever somebody asks, before the answer is written."""
        self._before_text.append(read)

    async def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        for read in self._before_text:
            read()
        folder = self._folder
        if folder is None or self._threads is None:
            counted = generate_latest(self.registry)
        else:
            counted = await self._threads.run(lambda: _added_up(folder))
        return counted + generate_latest(self._readings)


def _added_up(folder: Path) -> bytes:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))
    return generate_latest(registry)
