"""What the process counts: one registry, given to those who count."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The metrics of one process, served at /metrics."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
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

    def gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        """A new gauge of this process."""
        return Gauge(name, text, labels, registry=self.registry)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
