"""Pollers of two processes: one watches a cluster, and both may be told of something."""

from __future__ import annotations

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from synnefo_tx.application import Application, build
from synnefo_tx.db.connect import connector
from synnefo_tx.db.listener import Listener
from synnefo_tx.service import elections
from synnefo_tx.settings import DatabaseSettings
from tests.support.cloud import CloudTestCase
from tests.support.keyring import fixed_keyring
from tests.support.processes import until


class PollersTests(CloudTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.backend = self.backends["alpha"]

    async def start(self) -> Application:
        """The application as a process with the role events has it, watching."""
        standing = elections(reactor, self.url, self.settings)
        listener = Listener(connector(reactor, self.url, DatabaseSettings()), reactor)
        edges = evolve(self.edges(), electorate=standing, hearing=listener)
        app = build(self.settings, self.database, fixed_keyring(), edges)
        for service in (listener, app.poller, standing):
            service.startService()
            self.addCleanup(self.stop, service)

        async def hears() -> bool:
            return listener.is_hearing

        await until(hears, 10, "it hears of commits")
        return app

    def stop(self, service) -> Deferred[None]:
        return Deferred.fromCoroutine(service.stopService())

    async def looked(self, app: Application, after: float | None) -> float:
        async def again() -> float | None:
            lag = app.poller.lags.get(self.backend)
            return lag.polled if lag and lag.polled and lag.polled != after else None

        return await until(again, 10, "a look")

    async def test_one_watches(self) -> None:
        """A cluster is watched by one of them; a hint that the other gets makes that one look;
        health and metrics of the other show how the watch goes."""
        first = await self.start()
        before = await self.looked(first, None)
        second = await self.start()
        second.poller.look_soon(self.backend)
        await self.looked(first, before)
        self.assertEqual(second.poller.lags, {})

        async def told() -> bool:
            return bool(await second.operation.gauges.watches(reactor.seconds()))

        await until(told, 10, "the second knows of the watch")
        (watch,) = await second.operation.gauges.watches(reactor.seconds())
        self.assertEqual((watch.backend, watch.failing, watch.silent), (self.backend, False, False))
        self.assertLess(watch.lag_seconds, 10)
        parts = {part.name: part for part in await second.operation.health.report()}
        self.assertEqual(parts["clusters"].text, "1 of 1 clusters answer")

    async def test_other_takes_over(self) -> None:
        """When the one that watches stops, the other watches."""
        first = await self.start()
        await self.looked(first, None)
        second = await self.start()
        await first.poller.stopService()
        self.assertEqual(first.poller.lags, {})
        await self.looked(second, None)
