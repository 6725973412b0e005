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

    def gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        """A new gauge of this process."""
        return Gauge(name, text, labels, registry=self.registry)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self.registry)
