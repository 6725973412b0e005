"""Connections when a process stops."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from synnefo_tx.rest.channel import FIRST_REQUEST_SECONDS
from synnefo_tx.rest.endpoint import Call, endpoint
from tests.support.http import Raw, SiteTestCase, connect

ASKED = b"GET /answer HTTP/1.1\r\nHost: x\r\n\r\n"


class Answering:
    """An endpoint that answers at once."""

    @endpoint("GET", "/answer", action="compute:versions", ways=("none",))
    async def answer(self, call: Call[None]) -> dict[str, str]:
        """Say something."""
        return {"answer": "yes"}


class DrainTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.site.mount("", Answering())

    async def connected(self, sent: bytes = b"") -> Raw:
        """A connection that the site has accepted."""
        client = await connect(self.url, sent)
        while not self.factory.channels:
            await deferLater(reactor, 0)
        return client

    async def test_first_request_on_its_way(self) -> None:
        """Who connected before the stop is answered, though the request comes after it."""
        client = await self.connected()
        draining = Deferred.fromCoroutine(self.factory.drain(reactor, 5))
        client.transport.write(ASKED)
        received = await client.ended
        await draining
        self.assertIn(b"200 OK", received)
        self.assertIn(b"Connection: close", received)
        self.assertIn(b'"yes"', received)

    async def test_silent(self) -> None:
        """Who connected and asks nothing is not waited for longer than a moment."""
        client = await self.connected()
        begun = reactor.seconds()
        await self.factory.drain(reactor, 30)
        self.assertEqual(await client.ended, b"")
        self.assertLess(reactor.seconds() - begun, FIRST_REQUEST_SECONDS + 2)

    async def test_idle(self) -> None:
        """A connection whose requests were answered is closed at once."""
        client = await self.connected(ASKED)
        while b"yes" not in client.received:
            await deferLater(reactor, 0)
        begun = reactor.seconds()
        await self.factory.drain(reactor, 30)
        await client.ended
        self.assertLess(reactor.seconds() - begun, FIRST_REQUEST_SECONDS)
