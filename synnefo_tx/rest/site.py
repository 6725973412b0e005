"""Serves endpoints over HTTP: ``routing`` finds them, this module wraps each call.

The wrapper is the only place that authenticates, checks the policy, reads bodies, renders faults,
counts and logs. Unknown errors become a fixed text with the request's id; the traceback goes to the
log.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.http import HTTPChannel
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, Rule

from synnefo_tx.caller import Caller
from synnefo_tx.faults import (
    BadRequest,
    Fault,
    ItemNotFound,
    NotAllowed,
    ServiceUnavailable,
)
from synnefo_tx.journal.acting import Actor, acting
from synnefo_tx.rest import policy
from synnefo_tx.rest.channel import ApiFactory
from synnefo_tx.rest.endpoint import Call, DialectName, Endpoint, Reply, endpoints_of
from synnefo_tx.rest.kept import REPLAYED_HEADER, Claim, KeptReplies, Replay
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.rest.rates import RateLimits
from synnefo_tx.rest.reply import begin, render, render_fault, unexpected
from synnefo_tx.rest.request import (
    LimitedRequest,
    call_of,
    check_transport,
    client_address,
    peer_of,
)
from synnefo_tx.rest.routing import Mounted, Paths
from synnefo_tx.rest.streaming import OpenStreams, Stream
from synnefo_tx.rest.ways import Authenticators, identify, missing_ways
from synnefo_tx.settings import Http


class ApiSite:
    """All endpoints of a process under one Klein application."""

    log = Logger()

    def __init__(
        self,
        settings: Http,
        authenticators: Authenticators,
        clock: IReactorTime,
        metrics: Metrics,
        new_id: Callable[[], str],
        kept: KeptReplies,
        rates: RateLimits,
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.mounted: list[Mounted] = []
        self._authenticators = authenticators
        self._clock = clock
        self._new_id = new_id
        self._kept = kept
        self._rates = rates
        self._roots: dict[str, DialectName] = {}
        self.streams = OpenStreams()
        self._serving = 0
        self._streaming: dict[str, int] = {}
        self._streamed = Map(strict_slashes=False)

    def mount(self, prefix: str, *routes: object) -> None:
        """Serve the endpoints of ``routes`` below ``prefix``."""
        for each in routes:
            for record, method in endpoints_of(each):
                self._roots.setdefault(prefix, record.dialect)
                self._add(Mounted(record, prefix + record.path, method))

    def _add(self, mounted: Mounted) -> None:
        if missing := missing_ways(mounted.endpoint, self._authenticators):
            raise ValueError(f"{mounted.name}: nobody checks {', '.join(missing)}")
        self.mounted.append(mounted)
        if mounted.endpoint.streamed_max_bytes is not None:
            self._streaming[mounted.name] = mounted.endpoint.streamed_max_bytes
            self._streamed.add(
                Rule(mounted.path, methods=[mounted.endpoint.method], endpoint=mounted.name)
            )

    def site(self) -> ApiFactory:
        """The protocol factory to listen with."""
        paths = Paths(self, self.mounted)
        factory = ApiFactory(paths, requestFactory=self._request, reactor=self._clock)
        factory.on_drain = self.streams.end_all
        # Refused before anybody knew where it leads.
        factory.on_refused = lambda status: self.metrics.count("unread", status, 0.0)
        return factory

    def _request(self, channel: HTTPChannel, queued: object = None) -> LimitedRequest:
        return LimitedRequest(
            channel, self._clock, self.settings.body_max_bytes, self._streamed_max_bytes
        )

    def _streamed_max_bytes(self, method: bytes, uri: bytes) -> int | None:
        """The largest body of a request that is handed on in pieces, None if it is collected."""
        if not self._streaming:
            return None
        path = unquote_to_bytes(uri.partition(b"?")[0]).decode("utf-8", "replace")
        try:
            found, _ = self._streamed.bind("").match(path, method.decode("ascii"))
        except HTTPException:
            return None
        return self._streaming[found]

    async def serve(
        self, mounted: Mounted, request: LimitedRequest, arguments: dict[str, str]
    ) -> bytes | None:
        """The body of the reply; None for one that is written by its stream."""
        started = time.monotonic()
        begin(request, self._new_id())
        remote = client_address(request, self.settings.trusted_proxies)
        caller: Caller | None = None
        body: bytes | None
        dialect = mounted.endpoint.dialect
        self._serving += 1
        try:
            self._check_room(mounted.endpoint)
            check_transport(peer_of(request), request.isSecure(), self.settings.trusted_proxies)
            self._rates.check_address(mounted.endpoint.rate, remote)
            caller = await identify(mounted.endpoint, request, self._authenticators)
            acting.set(Actor(caller.user if caller else "", remote))
            if caller is not None:
                self._rates.check_caller(mounted.endpoint.rate, caller)
            policy.check(mounted.endpoint.action, caller, remote)
            call = call_of(mounted.endpoint, request, caller, remote, self._kept)
            if call.claim_or_none is None:
                result = await mounted.method(call, **arguments)
            else:
                result = await self._once(mounted, call, call.claim_or_none, arguments)
            body = self._render(mounted.endpoint, request, result)
        except Fault as fault:
            body = render_fault(request, fault, dialect)
        except CancelledError:
            body = render_fault(request, ServiceUnavailable("The request took too long"), dialect)
        except Exception:
            self.log.failure("unexpected error in {endpoint}", endpoint=mounted.name)
            self.metrics.defects.labels(mounted.name).inc()
            body = render_fault(request, unexpected(), dialect)
        finally:
            self._serving -= 1
            request.stop_reading()
        self._account(mounted.name, request, caller, remote, time.monotonic() - started)
        return body

    def _render(self, endpoint: Endpoint, request: LimitedRequest, result: Any) -> bytes | None:
        if isinstance(result, Stream):
            self.streams.head(request, endpoint.reply_type, result)
            if request.method == b"HEAD" or request.lost:
                return b""
            self.streams.begin(request, result)
            return None
        body = render(request, endpoint, result)
        if isinstance(result, Reply) and result.delivered is not None:
            self._follow_delivery(request, result.delivered)
        return body

    async def _once(
        self, mounted: Mounted, call: Call[Any], claim: Claim, arguments: dict[str, str]
    ) -> Any:
        async with self._kept.turn(claim.wanted):
            try:
                return await mounted.method(call, **arguments)
            except Replay as replay:
                kept = replay.reply
                return Reply(kept.body, kept.status, {REPLAYED_HEADER: "true"})

    def _check_room(self, endpoint: Endpoint) -> None:
        """Refuse what would only wait: who is told so at once may come back in better times."""
        if self._serving > self.settings.requests_max and not endpoint.cheap:
            raise ServiceUnavailable("Too many requests at once. Try again later.")

    def _follow_delivery(self, request: Request, delivered: Callable[[], Awaitable[None]]) -> None:
        async def follow() -> None:
            try:
                await request.notifyFinish()
            except (ConnectionDone, ConnectionLost):
                return  # cut: the client may ask again
            await delivered()

        following = Deferred.fromCoroutine(follow())
        following.addErrback(
            lambda failure: self.log.failure("what follows a reply failed", failure)
        )

    def _account(
        self, name: str, request: Request, caller: Caller | None, remote: str, seconds: float
    ) -> None:
        self.metrics.count(name, request.code, seconds)
        self.log.info(
            "{endpoint} {status}",
            endpoint=name,
            status=request.code,
            user=caller.user if caller else "",
            remote=remote,
            milliseconds=round(seconds * 1000, 1),
        )

    def unreadable(self, request: Request) -> bytes:
        """See ``Served``: the router would answer in a form of its own."""
        return self._refuse_unrouted(request, BadRequest("The path is no UTF-8"))

    def unrouted(self, request: Request, error: HTTPException) -> bytes:
        """See ``Served``."""
        path = request.path.decode("utf-8", "replace")
        if isinstance(error, MethodNotAllowed):
            methods = sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"})
            fault: Fault = NotAllowed("Method not allowed", headers={"Allow": ", ".join(methods)})
        elif self._root_of(path):
            # The original answers 400 to an unknown path below a component's root.
            fault = BadRequest("Unknown path")
        else:
            fault = ItemNotFound("Unknown path")
        return self._refuse_unrouted(request, fault)

    def _root_of(self, path: str) -> str:
        """Where the component of a path is mounted; empty for none."""
        found = [root for root in self._roots if root and path.startswith(root + "/")]
        return found[0] if found else ""

    def _refuse_unrouted(self, request: Request, fault: Fault) -> bytes:
        begin(request, self._new_id())
        root = self._root_of(request.path.decode("utf-8", "replace"))
        body = render_fault(request, fault, self._roots.get(root, "cyclades"))
        remote = client_address(request, self.settings.trusted_proxies)
        self._account("unrouted", request, None, remote, 0.0)
        return body
