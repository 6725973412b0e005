"""Gauges that are read when somebody looks at the metrics: from the database, and from what the
leaders of pollers and timers told."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger

from synnefo_tx.compute.servers.store import oldest_tasks
from synnefo_tx.db.leaders import Leader, leaders
from synnefo_tx.db.pool import Database
from synnefo_tx.faults import ServiceUnavailable
from synnefo_tx.ganeti.backends.operations import Backends
from synnefo_tx.ganeti.broker.consumer import Consumer
from synnefo_tx.ganeti.broker.model import Outcome
from synnefo_tx.ganeti.jobs.store import open_counts
from synnefo_tx.ganeti.poller import Poller
from synnefo_tx.operation.mails import MailGauges
from synnefo_tx.operation.threads import ThreadGauges
from synnefo_tx.operation.watches import Watch, watches
from synnefo_tx.rest.metrics import Metrics

PER_CLUSTER = ("backend",)


class Gauges:
    """Jobs and poll lag per cluster, leaders, use of the pool."""

    log = Logger()

    def __init__(
        self,
        metrics: Metrics,
        database: Database,
        poller: Poller,
        backends: Backends,
        consumer: Consumer | None,
        threads: ThreadGauges,
        mails: MailGauges,
    ) -> None:
        self._threads = threads
        self._mails = mails
        self._database = database
        self._poller = poller
        self._backends = backends
        reading = metrics.reading
        self._open = reading("synnefo_open_intents", "Intents without an end", PER_CLUSTER)
        self._oldest = reading(
            "synnefo_oldest_intent_seconds", "Age of the oldest open intent", PER_CLUSTER
        )
        self._lag = reading(
            "synnefo_poll_lag_seconds", "Time since a cluster last answered a poll", PER_CLUSTER
        )
        self._failing = reading(
            "synnefo_cluster_failing", "Whether the last look at a cluster failed", PER_CLUSTER
        )
        self._tasks = reading(
            "synnefo_oldest_task_seconds", "Longest wait of a server with this task", ("task",)
        )
        self._differences = reading(
            "synnefo_reconcile_differences", "Servers and instances that differ", PER_CLUSTER
        )
        self._add_shared(metrics)
        self._busy = metrics.gauge("synnefo_database_busy", "Database connections in use")
        self._waiting = metrics.gauge("synnefo_database_waiting", "Callers that wait for one")

        self._consumer = consumer
        if consumer is not None:
            self._add_broker(metrics)

    def _add_shared(self, metrics: Metrics) -> None:
        self._answers = metrics.reading(
            "synnefo_database_answers", "Whether the database answered for these metrics"
        )
        self._silence = metrics.reading(
            "synnefo_leader_silence_seconds", "Time since a leader told how it goes", ("election",)
        )
        self._epochs = metrics.reading(
            "synnefo_leader_epoch", "How often one was elected", ("election",)
        )
        self._drift = metrics.reading(
            "synnefo_quota_drift", "Holdings that differ from what exists"
        )

    async def refresh(self, now_seconds: float) -> None:
        """Set what is this process's own."""
        self._busy.set(self._database.busy_count)
        self._waiting.set(self._database.waiting_count)
        self._threads.refresh()
        if self._consumer is not None and self._consumer.running:
            self._read_broker(self._consumer, now_seconds)

    def _add_broker(self, metrics: Metrics) -> None:
        self._connected = metrics.gauge("synnefo_broker_connected", "Whether there is a broker")
        self._in_flight = metrics.gauge("synnefo_broker_in_flight", "Messages taken, not settled")
        self._settled = metrics.gauge(
            "synnefo_broker_last_message_seconds",
            "Time since a message was last settled",
            several="livemostrecent",
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
        await self.refresh(now_seconds)
        try:
            await self._read_shared(now_seconds)
        except ServiceUnavailable as error:
            # What this process counted is wanted most while the database is away.
            self.log.warn("metrics lack what is in the database: {error}", error=str(error))
            self._clear()
            self._mails.clear()
            self._answers.set(0)
        else:
            self._answers.set(1)

    async def _read_shared(self, now_seconds: float) -> None:
        """Bring up to date what is of the whole service."""
        intents, tasks = await open_counts(self._database), await oldest_tasks(self._database)
        found, watched = await leaders(self._database), await self.watches(now_seconds)
        await self._mails.read()
        # From here on nothing is waited for: another who asks sees all or nothing of it.
        self._clear()
        for backend, count, oldest in intents:
            self._open.set(count, backend)
            self._oldest.set(oldest, backend)
        for task, seconds in tasks:
            self._tasks.set(seconds, task)
        self._set_leaders(found, watched)

    def _clear(self) -> None:
        """Forget what may not be so any more."""
        for each in (
            self._open, self._oldest, self._tasks, self._lag, self._failing, self._differences,
            self._silence, self._epochs, self._drift,
        ):  # fmt: skip
            each.clear()

    async def watches(self, now_seconds: float) -> list[Watch]:
        """How the watch of each cluster goes."""
        online = {each.id for each in await self._backends.list() if not each.offline}
        return watches(now_seconds, self._poller.lags, await leaders(self._database), online)

    def _set_leaders(self, found: Iterable[Leader], watched: Iterable[Watch]) -> None:
        for watch in watched:
            self._failing.set(watch.failing, watch.backend)
            self._differences.set(watch.differences, watch.backend)
            if watch.lag_seconds is not None:
                self._lag.set(watch.lag_seconds, watch.backend)
        for leader in found:
            self._epochs.set(leader.epoch, leader.name)
            if leader.told_seconds is not None:
                self._silence.set(leader.told_seconds, leader.name)
            if "drift" in leader.report:
                self._drift.set(leader.report["drift"])
