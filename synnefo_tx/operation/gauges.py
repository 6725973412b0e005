"""Gauges that are read from the database and the poller when somebody looks at the metrics."""

from __future__ import annotations

from collections.abc import Mapping

from synnefo_tx.compute.servers.store import oldest_tasks
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.broker.consumer import Consumer
from synnefo_tx.ganeti.broker.model import Outcome
from synnefo_tx.ganeti.jobs.store import open_counts
from synnefo_tx.ganeti.poller import Poller
from synnefo_tx.rest.metrics import Metrics


class Gauges:
    """Jobs and poll lag per cluster, use of the pool."""

    def __init__(
        self,
        metrics: Metrics,
        database: Database,
        poller: Poller,
        differences: Mapping[int, int],
        consumer: Consumer | None,
    ) -> None:
        self._database = database
        self._poller = poller
        self._open = metrics.gauge("synnefo_open_intents", "Intents without an end", ("backend",))
        self._oldest = metrics.gauge(
            "synnefo_oldest_intent_seconds", "Age of the oldest open intent", ("backend",)
        )
        self._lag = metrics.gauge(
            "synnefo_poll_lag_seconds", "Time since a cluster last answered a poll", ("backend",)
        )
        self._failing = metrics.gauge(
            "synnefo_cluster_failing", "Whether the last look at a cluster failed", ("backend",)
        )
        self._tasks = metrics.gauge(
            "synnefo_oldest_task_seconds", "Longest wait of a server with this task", ("task",)
        )
        self._busy = metrics.gauge("synnefo_database_busy", "Database connections in use")
        self._waiting = metrics.gauge("synnefo_database_waiting", "Callers that wait for one")
        self.drift = metrics.gauge("synnefo_quota_drift", "Holdings that differ from what exists")
        self._found = differences
        self._differences = metrics.gauge(
            "synnefo_reconcile_differences", "Servers and instances that differ", ("backend",)
        )

        self._consumer = consumer
        if consumer is not None:
            self._add_broker(metrics)

    def _add_broker(self, metrics: Metrics) -> None:
        self._connected = metrics.gauge("synnefo_broker_connected", "Whether there is a broker")
        self._in_flight = metrics.gauge("synnefo_broker_in_flight", "Messages taken, not settled")
        self._settled = metrics.gauge(
            "synnefo_broker_last_message_seconds", "Time since a message was last settled"
        )
        self._messages = metrics.gauge(
            "synnefo_broker_messages", "What became of messages so far", ("outcome",)
        )

    def _read_broker(self, consumer: Consumer, now_seconds: float) -> None:
        self._connected.set(consumer.session.connected)
        self._in_flight.set(consumer.in_flight)
        if consumer.last_settled is not None:
            self._settled.set(now_seconds - consumer.last_settled)
        for outcome in Outcome:
            self._messages.labels(outcome.value).set(consumer.counts[outcome])

    async def read(self, now_seconds: float) -> None:
        """Bring the gauges up to date; ``now_seconds`` is the reactor's time."""
        if self._consumer is not None:
            self._read_broker(self._consumer, now_seconds)
        self._busy.set(self._database.busy_count)
        self._waiting.set(self._database.waiting_count)
        self._open.clear()
        self._oldest.clear()
        for backend, count, oldest in await open_counts(self._database):
            self._open.labels(str(backend)).set(count)
            self._oldest.labels(str(backend)).set(oldest)
        for backend, lag in self._poller.lags.items():
            self._failing.labels(str(backend)).set(lag.failing)
            if lag.polled is not None:
                self._lag.labels(str(backend)).set(now_seconds - lag.polled)
        self._tasks.clear()
        for task, seconds in await oldest_tasks(self._database):
            self._tasks.labels(task).set(seconds)
        for backend, count in self._found.items():
            self._differences.labels(str(backend)).set(count)
