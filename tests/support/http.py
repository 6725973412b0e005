"""An ApiSite on loopback and a client of it."""

from __future__ import annotations

import json
import uuid
from typing import Any

import treq
from attrs import frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from synnefo_tx.caller import Caller
from synnefo_tx.db.pool import Database, PoolLimits
from synnefo_tx.faults import Unauthorized
from synnefo_tx.rest.kept import KeptReplies
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.rest.rates import RateLimits
from synnefo_tx.rest.site import ApiSite
from synnefo_tx.rest.ways import Authenticators, by_token
from synnefo_tx.settings import Http, Rates
from tests.support.database import DatabaseTestCase
from tests.support.keyring import fixed_keyring


@frozen
class Answer:
    """What came back; ``json`` is None for an empty body."""

    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    def header(self, name: str) -> str | None:
        values = self.headers.getRawHeaders(name)
        return values[0] if values else None


async def nobody(token: str) -> Caller:
    """Authenticate no token."""
    raise Unauthorized("Invalid token")


class SiteMixin:
    """A site of the test's own (``self.site``), and ``self.request``."""

    http = Http()
    rates = Rates()

    def make_site(self) -> None:
        """Make a site without endpoints; to be called when the test is set up."""
        self.authenticate = nobody
        self.metrics = Metrics()
        self.site = ApiSite(
            self.http,
            self.ways(),
            reactor,
            self.metrics,
            lambda: str(uuid.uuid4()),
            self.kept(),
            RateLimits(self.rates, reactor, self.metrics),
        )

    def serve(self, prefix: str = "", *routes: object) -> None:
        """Mount endpoints, if any, and listen."""
        self.site.mount(prefix, *routes)
        self.factory = self.site.site()
        port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.url = f"http://127.0.0.1:{port.getHost().port}"

    def kept(self) -> KeptReplies:
        """Replies kept nowhere: these endpoints have no database."""
        nowhere = Database(None, reactor, PoolLimits())
        return KeptReplies(nowhere, fixed_keyring(), reactor, 0.0)

    def ways(self) -> Authenticators:
        """How the site's requests say who sends them."""
        token = by_token(lambda token: self.authenticate(token))
        return {"token": token, "session": no_session}

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Make a request; a body that is no bytes is sent as JSON."""
        return await request(self.url, method, path, body, token=token, headers=headers)


class SiteTestCase(SiteMixin, TestCase):
    """A test with a site of its own, and no database."""

    def setUp(self) -> None:
        self.make_site()


async def no_session(request: Request) -> None:
    """Nobody is signed in."""


class HttpTestCase(SiteMixin, DatabaseTestCase):
    """A test with a database and a site of its own."""

    async def setUp(self) -> None:
        await super().setUp()
        self.make_site()


class Raw(Protocol):
    """Sends bytes and keeps what comes back until the connection ends."""

    def __init__(self, sent: bytes) -> None:
        self.sent = sent
        self.received = b""
        self.ended: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self.sent)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason=None) -> None:
        self.ended.callback(self.received)


async def connect(url: str, sent: bytes = b"") -> Raw:
    """A connection that sends bytes as they are."""
    host, port = url.removeprefix("http://").split(":")
    return await connectProtocol(HostnameEndpoint(reactor, host, int(port)), Raw(sent))


async def request(
    url: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    token: str | None = None,
    headers: dict[str, str] | None = None,
) -> Answer:
    """Make a request on a connection of its own; a body that is no bytes is sent as JSON."""
    sent = dict(headers or {})
    if token is not None:
        sent["X-Auth-Token"] = token
    data = body
    if body is not None and not isinstance(body, bytes):
        data = json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/json")
    agent = Agent(reactor, connectTimeout=5, pool=HTTPConnectionPool(reactor, persistent=False))
    response = await treq.request(
        method, url + path, data=data, headers=sent, agent=agent, timeout=30
    )
    content: Deferred[bytes] = treq.content(response)
    return Answer(response.code, response.headers, await content)
