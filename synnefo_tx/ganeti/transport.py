"""One HTTP exchange with RAPI: at most a few at once, with time, size and failure limits.

The point of this module is to tell apart three endings of a call: refused by the cluster,
certainly never sent, and unknown. Nothing is tried twice here.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from attrs import frozen
from treq.client import HTTPClient
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IConsumer, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from synnefo_tx.ganeti.breaker import Breaker
from synnefo_tx.ganeti.model import ClusterEndpoint, RapiError, RapiRefused, RapiUnanswered
from synnefo_tx.ganeti.slots import NoPlace, Slots
from synnefo_tx.units import MIB

Query = Sequence[tuple[str, str]]

_UNKNOWN_IF_CHANGING = frozenset({500, 502, 504})
"""RAPI gives these also when it lost the master daemon after handing it the job."""


@frozen
class Limits:
    """Bounds of the calls to one cluster. RAPI serves 20 connections, for all its clients."""

    connections: int = 4
    waiting: int = 64
    wait_seconds: float = 10.0
    timeout_seconds: float = 30.0
    response_max_bytes: int = 64 * MIB
    breaker_failures: int = 3
    breaker_cooldown_seconds: float = 30.0


class _BoundedBody(Protocol):
    """Collects a response body, gives it up when too long or cut."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._pieces: list[bytes] = []
        self._size_bytes = 0
        self.done: Deferred[bytes] = Deferred(lambda _: self._abort())

    def dataReceived(self, data: bytes) -> None:
        self._size_bytes += len(data)
        if self._size_bytes <= self._limit_bytes:
            self._pieces.append(data)
            return
        self._end(RapiUnanswered(f"the answer is longer than {self._limit_bytes} bytes"))
        self._abort()

    def connectionLost(self, reason: Failure | None = None) -> None:
        # An end without Content-Length could be a cut: job id 20 may arrive as a valid 2.
        if reason is not None and reason.check(ResponseDone):
            self._end(b"".join(self._pieces))
        else:
            self._end(RapiUnanswered(f"the answer was cut: {reason and reason.value!r}"))

    def _end(self, outcome: bytes | RapiUnanswered) -> None:
        if self.done.called:
            return
        if isinstance(outcome, bytes):
            self.done.callback(outcome)
        else:
            self.done.errback(outcome)

    def _abort(self) -> None:
        transport = self.transport
        end = getattr(transport, "abortConnection", None) or getattr(
            transport, "loseConnection", None
        )
        if end is not None:
            end()


@implementer(IBodyProducer)
class WholeBody:
    """Writes a small body at once; treq's own would wait for turns of the global reactor."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.length = len(content)

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        consumer.write(self._content)
        return defer.succeed(None)

    def pauseProducing(self) -> None:
        """There is nothing left to pause."""

    resumeProducing = stopProducing = pauseProducing


class RapiTransport:
    """Sends requests to one cluster over ``agent``, which is trusted to verify the peer."""

    def __init__(
        self, agent: IAgent, endpoint: ClusterEndpoint, clock: IReactorTime, limits: Limits
    ) -> None:
        self._endpoint = endpoint
        self._clock = clock
        self._limits = limits
        self._http = HTTPClient(agent, data_to_body_producer=WholeBody)
        self._slots = Slots(clock, limits.connections, limits.waiting, limits.wait_seconds)
        self.breaker = Breaker(clock, limits.breaker_failures, limits.breaker_cooldown_seconds)
        credentials = f"{endpoint.username}:{endpoint.password}".encode()
        self._authorization = b"Basic " + base64.b64encode(credentials)

    async def request(
        self, method: str, path: str, query: Query = (), body: Any = None, *, changes: bool = False
    ) -> Any:
        """The decoded JSON answer. ``changes`` tells that the call has an effect if accepted.

        Raises RapiError, RapiUnanswered or RapiRefused.
        """
        if self._endpoint.offline:
            raise RapiRefused(f"cluster {self._endpoint.name} is flagged offline")
        if self.breaker.open:
            raise RapiRefused(f"cluster {self._endpoint.name} did not answer lately")
        try:
            await self._slots.take()
        except NoPlace as full:
            raise RapiRefused(f"cluster {self._endpoint.name}: {full}") from full
        try:
            return await self._guarded(method, path, query, body, changes)
        finally:
            self._slots.give()

    async def _guarded(self, method: str, path: str, query: Query, body: Any, changes: bool) -> Any:
        """One exchange, its outcome told to the breaker."""
        if not self.breaker.begin():
            raise RapiRefused(f"cluster {self._endpoint.name} did not answer lately")
        try:
            status, content = await self._timed_exchange(method, path, query, body)
            value = _decoded(status, content, changes)
        except (RapiUnanswered, RapiRefused):
            self.breaker.unanswered()
            raise
        except RapiError:
            self.breaker.answered()
            raise
        except BaseException:
            self.breaker.abandoned()
            raise
        self.breaker.answered()
        return value

    async def _timed_exchange(
        self, method: str, path: str, query: Query, body: Any
    ) -> tuple[int, bytes]:
        limit = self._limits.timeout_seconds
        exchange = Deferred.fromCoroutine(self._exchange(method, path, query, body))
        try:
            return await exchange.addTimeout(limit, self._clock)
        except (RapiUnanswered, defer.CancelledError):
            raise
        except defer.TimeoutError as expired:
            raise RapiUnanswered(f"no answer within {limit} s") from expired
        except (ConnectError, DNSLookupError) as failed:
            raise RapiRefused(f"cannot connect to {self._endpoint.name}: {failed}") from failed
        except Exception as lost:
            raise RapiUnanswered(f"the connection failed: {lost!r}") from lost

    async def _exchange(self, method: str, path: str, query: Query, body: Any) -> tuple[int, bytes]:
        headers = {b"Authorization": [self._authorization], b"Accept": [b"application/json"]}
        data = None
        if body is not None:
            headers[b"Content-Type"] = [b"application/json"]
            data = json.dumps(body, sort_keys=True).encode()
        response: IResponse = await self._http.request(
            method,
            self._url(path, query),
            headers=headers,
            data=data,
            allow_redirects=False,
            unbuffered=True,
            reactor=self._clock,  # used for treq's own time limit only; None would import one
        )
        content = _BoundedBody(self._limits.response_max_bytes)
        response.deliverBody(content)
        return response.code, await content.done

    def _url(self, path: str, query: Query) -> str:
        host = self._endpoint.host
        authority = f"[{host}]" if ":" in host else host
        question = "?" + urlencode(query) if query else ""
        return f"https://{authority}:{self._endpoint.port}{path}{question}"


def _decoded(status: int, content: bytes, changes: bool) -> Any:
    """The answer's value. Raises RapiError for a well-formed refusal, else RapiUnanswered."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as garbage:
        raise RapiUnanswered(f"status {status}, and the answer is not JSON") from garbage
    if status == 200:
        return value
    message = value.get("message") if isinstance(value, dict) else None
    if status < 400 or not isinstance(message, str):
        raise RapiUnanswered(f"status {status}, which RAPI does not give")
    if changes and status in _UNKNOWN_IF_CHANGING:
        raise RapiUnanswered(f"status {status}: {message}")
    raise RapiError(status, html.unescape(message))
