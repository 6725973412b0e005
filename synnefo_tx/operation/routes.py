"""HTTP of operation: ``/health`` and ``/metrics``."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from synnefo_tx.operation.gauges import Gauges
from synnefo_tx.operation.health import Health, document
from synnefo_tx.rest.endpoint import USER_WAYS, Call, Reply, endpoint
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.rest.policy import loopback_or_operator

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class OperationRoutes:
    """At the root of the site."""

    def __init__(
        self, health: Health, metrics: Metrics, gauges: Gauges, clock: IReactorTime
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._gauges = gauges
        self._clock = clock

    @endpoint(
        "GET",
        "/health",
        action="operation:health",
        ways=(*USER_WAYS, "none"),
        cheap=True,
        rate="none",
    )
    async def health(self, call: Call[None]) -> Reply:
        """Say whether every part works: 200, or 503 when one does not."""
        parts = await self._health.report()
        details = loopback_or_operator(call.caller_or_none, call.remote)
        status = 200 if all(part.ok for part in parts) else 503
        return Reply(document(parts, details), status=status)

    @endpoint(
        "GET",
        "/metrics",
        action="operation:metrics",
        ways=(*USER_WAYS, "none"),
        reply_type=METRICS_TYPE,
        cheap=True,
        rate="none",
    )
    async def metrics(self, call: Call[None]) -> bytes:
        """Show the process's metrics to Prometheus."""
        await self._gauges.read(self._clock.seconds())
        return await self._metrics.text()
