"""A cloud whose changes are numbered and told, with real connections to PostgreSQL."""

from __future__ import annotations

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred

from synnefo_tx.application import Edges
from synnefo_tx.db.connect import connector
from synnefo_tx.db.listener import Listener
from synnefo_tx.settings import DatabaseSettings
from tests.support.cloud import CloudHttpTestCase
from tests.support.event_client import Events, follow


class StreamTestCase(CloudHttpTestCase):
    """A cloud that is followed: ``self.follow()`` gives a stream of ``self.user``."""

    async def setUp(self) -> None:
        await super().setUp()
        self.listener.startService()
        self.addCleanup(self.listener.stopService)
        for each in (self.app.changes.announcer, self.app.changes.sequencer):
            each.startService()
            self.addCleanup(lambda service=each: maybeDeferred(service.stopService))
        self.addCleanup(lambda: Deferred.fromCoroutine(self.app.changes.streams.ended()))
        self.addCleanup(self.app.site.streams.end_all)

    def edges(self) -> Edges:
        self.listener = Listener(connector(reactor, self.url, DatabaseSettings()), reactor)
        return evolve(super().edges(), hearing=self.listener)

    async def follow(self, token: str = "", last_event_id: str = "") -> Events:
        """A stream that said hello."""
        response, stream = await follow(self.url, token or self.user_token, last_event_id)
        self.assertEqual(response.code, 200)
        self.addCleanup(stream.close)
        await stream.event("hello")
        return stream
