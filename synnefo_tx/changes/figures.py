"""What is counted of streams."""

from __future__ import annotations

from prometheus_client import Counter

from synnefo_tx.rest.metrics import Metrics


class StreamFigures:
    """Streams open, events sent, seconds from a change to its event, clients cut off."""

    def __init__(self, metrics: Metrics) -> None:
        self.open = metrics.gauge("synnefo_streams", "Streams of changes that are open")
        self.lag = metrics.gauge(
            "synnefo_stream_lag_seconds",
            "Time from the beginning of the last told change's transaction to its event",
            several="livemostrecent",
        )
        self.events = Counter(
            "synnefo_stream_events", "Events sent to clients", registry=metrics.registry
        )
        self.cut = Counter(
            "synnefo_streams_cut",
            "Streams that were cut off because their client did not read",
            registry=metrics.registry,
        )
