"""The client for URLs that users give.

In this order: the URL's form is checked; its name is resolved once; every address it has must be
allowed, because one that is not among others that are is how names are rebound (SEC15); the
connection goes to those addresses; TLS is verified for the name. No redirect is followed (SEC14),
nothing is unpacked, nothing of ours is sent (SEC16), and everything has a limit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from io import BytesIO
from ipaddress import ip_address
from socket import SOCK_STREAM, getaddrinfo
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import Agent, FileBodyProducer, HTTPConnectionPool, ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IResponse

from synnefo_tx.faults import ServiceUnavailable
from synnefo_tx.outbound import rules
from synnefo_tx.outbound.connection import Pinned
from synnefo_tx.outbound.model import Address, Fetched, Resolve, Target, Unreachable
from synnefo_tx.settings import Outbound as Settings
from synnefo_tx.threads import Threads

METHODS = frozenset(("GET", "HEAD", "POST", "PUT"))
OWN_HEADERS = frozenset(
    ("accept-encoding", "connection", "content-length", "host", "transfer-encoding", "user-agent")
)
# What would give our rights, or a user's, to whoever is at the other end.
CREDENTIALS = frozenset(("authorization", "cookie", "proxy-authorization", "x-auth-token"))
USER_AGENT = "synnefo"
ADDRESSES_MAX = 3


class _Failed(Exception):
    """Why nothing came of a request: for the log."""


class _Body(Protocol):
    """Collects a body up to its limit."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pieces: list[bytes] = []
        self._bytes = 0
        self.whole: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > self._max_bytes:
            self._fail(_Failed("the body is too large"))
        elif not self.whole.called:
            self._pieces.append(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not reason.check(ResponseDone, PotentialDataLoss):
            self._fail(_Failed(f"the body was cut: {reason.getErrorMessage()}"))
        elif not self.whole.called:
            self.whole.callback(b"".join(self._pieces))

    def _fail(self, error: _Failed) -> None:
        self._pieces.clear()
        if not self.whole.called:
            self.whole.errback(Failure(error))


class Outbound:
    """Asks URLs that users give; see the head of the module."""

    log = Logger()

    def __init__(
        self,
        settings: Settings,
        reactor: Any,
        resolve: Resolve,
        trust_root: Any = None,
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._resolve = resolve
        self._trust_root = trust_root
        self._allowance = rules.Allowance(
            ports=frozenset(settings.ports),
            hosts=frozenset(settings.hosts),
            networks=rules.networks(settings.networks),
            denied_networks=rules.networks(settings.denied_networks),
        )
        self._running = 0
        self._waiting: deque[Deferred[None]] = deque()

    def check(self, url: str) -> Target:
        """The target of a URL whose form may be asked; nothing is asked. Raises UrlRefused."""
        return rules.target(url, self._allowance)

    async def fetch(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        body_max_bytes: int | None = None,
    ) -> Fetched:
        """Ask a URL once, and read its whole answer, whatever its status.

        Raises UrlRefused, Unreachable, or ServiceUnavailable when too many are asked at once; and
        ValueError for a method or header that is not the caller's to choose.
        """
        sent = _headers(method, headers or {})
        target = self.check(url)
        largest = self._settings.body_max_bytes
        largest = largest if body_max_bytes is None else min(largest, body_max_bytes)
        await self._enter()
        asking = Deferred.fromCoroutine(self._ask(method, target, sent, body, largest))
        try:
            return await asking.addTimeout(self._settings.total_limit_seconds, self._reactor)
        except (CancelledError, ServiceUnavailable):
            raise
        except Exception as error:
            self.log.info(
                "{host}:{port} was not reached: {error}",
                host=target.host,
                port=target.port,
                error=str(error) or type(error).__name__,
            )
            raise Unreachable() from None
        finally:
            self._leave()

    async def _ask(
        self, method: str, target: Target, headers: Headers, body: bytes | None, largest: int
    ) -> Fetched:
        addresses = await self._addresses(target)
        pinned = Pinned(
            self._reactor,
            target,
            addresses[:ADDRESSES_MAX],
            self._settings.connect_limit_seconds,
            self._settings.headers_max_bytes,
            self._trust_root,
        )
        pool = HTTPConnectionPool(self._reactor, persistent=False)
        pool.retryAutomatically = False
        agent = Agent.usingEndpointFactory(self._reactor, pinned, pool=pool)
        producer = None if body is None else FileBodyProducer(BytesIO(body))
        try:
            response: IResponse = await agent.request(
                method.encode(), target.url.encode(), headers, producer
            )
            pinned.got_headers()
            return await self._read(response, largest)
        finally:
            pinned.end()

    async def _addresses(self, target: Target) -> Sequence[Address]:
        if target.address is not None:
            found: Sequence[Address] = [target.address]
        else:
            found = await self._resolve(target.host)
        if not found:
            raise _Failed("the name is unknown")
        for each in found:
            if not rules.may_ask(each, self._allowance):
                raise _Failed(f"{each} may not be asked")
        return found

    async def _read(self, response: IResponse, largest: int) -> Fetched:
        headers = {
            name.decode("ascii", "replace").lower(): values[0].decode("utf-8", "replace")
            for name, values in response.headers.getAllRawHeaders()
        }
        if headers.get("content-encoding", "identity") != "identity":
            raise _Failed("the answer is packed, which was not asked for")
        collecting = _Body(largest)
        response.deliverBody(collecting)
        return Fetched(response.code, headers, await collecting.whole)

    async def _enter(self) -> None:
        if self._running < self._settings.requests_max:
            self._running += 1
            return
        if len(self._waiting) >= self._settings.waiting_max:
            raise ServiceUnavailable("Too many requests to other hosts at once. Try again later.")
        place: Deferred[None] = Deferred(self._give_up)
        self._waiting.append(place)
        await place.addTimeout(
            self._settings.total_limit_seconds, self._reactor, onTimeoutCancel=_too_busy
        )

    def _give_up(self, place: Deferred[None]) -> None:
        if place in self._waiting:
            self._waiting.remove(place)

    def _leave(self) -> None:
        if self._waiting:
            # The place goes from hand to hand.
            self._waiting.popleft().callback(None)
        else:
            self._running -= 1


def _too_busy(result: object, seconds: float) -> object:
    if isinstance(result, Failure):
        result.trap(CancelledError)
        raise ServiceUnavailable("Too many requests to other hosts at once. Try again later.")
    return result


def _headers(method: str, given: Mapping[str, str]) -> Headers:
    if method not in METHODS:
        raise ValueError(f"{method} is not asked of other hosts")
    sent = Headers({"User-Agent": [USER_AGENT], "Accept-Encoding": ["identity"]})
    for name, value in given.items():
        if name.lower() in OWN_HEADERS | CREDENTIALS:
            raise ValueError(f"header {name} is not sent to other hosts")
        if not (name.isascii() and value.isprintable()):
            raise ValueError(f"header {name} cannot be sent")
        sent.setRawHeaders(name, [value])
    return sent


def system_resolver(threads: Threads) -> Resolve:
    """This machine's resolver, which blocks, in ``threads``."""

    def ask(host: str) -> Sequence[Address]:
        try:
            found = getaddrinfo(host, None, type=SOCK_STREAM)
        except (OSError, UnicodeError):
            return []
        return [ip_address(each[4][0]) for each in found]

    async def resolve(host: str) -> Sequence[Address]:
        return await threads.run(lambda: ask(host))

    return resolve
