"""What the pools of threads do, as metrics of this process."""

from __future__ import annotations

from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.threads import ThreadPools

PURPOSE = ("purpose",)


class ThreadGauges:
    """Use of the pools of threads, by purpose."""

    def __init__(self, metrics: Metrics, pools: ThreadPools) -> None:
        self._pools = pools
        self._running = metrics.gauge("synnefo_threads_running", "Calls in a thread", PURPOSE)
        self._waiting = metrics.gauge("synnefo_threads_waiting", "Calls in the line", PURPOSE)
        self._done = metrics.gauge("synnefo_threads_done", "Calls that ended so far", PURPOSE)
        self._refused = metrics.gauge("synnefo_threads_refused", "Calls refused so far", PURPOSE)
        self._seconds = metrics.gauge("synnefo_threads_seconds", "Time in threads so far", PURPOSE)

    def refresh(self) -> None:
        """Set what is so now."""
        for pool in self._pools.measured:
            use = pool.use
            self._running.labels(pool.purpose).set(use.running)
            self._waiting.labels(pool.purpose).set(use.waiting)
            self._done.labels(pool.purpose).set(use.done)
            self._refused.labels(pool.purpose).set(use.refused)
            self._seconds.labels(pool.purpose).set(use.seconds)
