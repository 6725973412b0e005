"""Serves endpoints over HTTP: Klein routes them, this module wraps each call.

The wrapper is the only place that authenticates, checks the policy, reads bodies, renders faults,
counts and logs. Unknown errors become a fixed text with the request's id; the traceback goes to the
log.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Any

from attrs import frozen
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.http import HTTPChannel
from twisted.web.server import Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from synnefo_tx.caller import Caller
from synnefo_tx.faults import (
    BadRequest,
    Fault,
    Forbidden,
    InternalServerError,
    ItemNotFound,
    NotAllowed,
    RequestEntityTooLarge,
    ServiceUnavailable,
    Unauthorized,
)
from synnefo_tx.log import request_id
from synnefo_tx.rest import codec, policy
from synnefo_tx.rest.channel import ApiFactory
from synnefo_tx.rest.endpoint import Call, Endpoint, Reply, endpoints_of
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.settings import Http

Authenticate = Callable[[str], Awaitable[Caller]]
Method = Callable[..., Awaitable[Any]]

QUERY_ARGUMENTS_MAX = 100
HEADERS = [
    (b"Cache-Control", b"max-age=0, no-cache, no-store, must-revalidate"),
    (b"Vary", b"X-Auth-Token"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"Strict-Transport-Security", b"max-age=31536000"),
]


@frozen
class Mounted:
    """An endpoint at its full path."""

    endpoint: Endpoint
    path: str
    method: Method

    @property
    def name(self) -> str:
        return f"{self.endpoint.method} {self.path}"


class ApiSite:
    """All endpoints of a process under one Klein application."""

    log = Logger()

    def __init__(
        self,
        settings: Http,
        authenticate: Authenticate,
        clock: IReactorTime,
        metrics: Metrics,
        new_id: Callable[[], str],
    ) -> None:
        self.settings = settings
        self.metrics = metrics
        self.mounted: list[Mounted] = []
        self._authenticate = authenticate
        self._clock = clock
        self._new_id = new_id
        self._app = Klein()
        self._roots: list[str] = []
        self._app.handle_errors(HTTPException)(self._unrouted)

    def mount(self, prefix: str, *routes: object) -> None:
        """Serve the endpoints of ``routes`` below ``prefix``."""
        self._roots.append(prefix)
        for each in routes:
            for record, method in endpoints_of(each):
                self._add(Mounted(record, prefix + record.path, method))

    def _add(self, mounted: Mounted) -> None:
        def serve(request: Request, **arguments: str) -> Deferred[bytes]:
            return Deferred.fromCoroutine(self._serve(mounted, request, arguments))

        route = self._app.route(
            mounted.path,
            methods=[mounted.endpoint.method],
            endpoint=mounted.name,
            strict_slashes=False,
        )
        route(serve)
        self.mounted.append(mounted)

    def site(self) -> ApiFactory:
        """The protocol factory to listen with."""
        return ApiFactory(self._app.resource(), requestFactory=self._request, reactor=self._clock)

    def _request(self, channel: HTTPChannel, queued: object = None) -> LimitedRequest:
        return LimitedRequest(channel, self.settings.body_max_bytes)

    async def _serve(self, mounted: Mounted, request: Request, arguments: dict[str, str]) -> bytes:
        started = time.monotonic()
        begin(request, self._new_id())
        remote = client_address(request, self.settings.trusted_proxies)
        caller: Caller | None = None
        try:
            check_transport(_peer(request), request.isSecure(), self.settings.trusted_proxies)
            caller = await self._caller(mounted.endpoint, request)
            policy.check(mounted.endpoint.action, caller, remote)
            call = _call(mounted.endpoint, request, caller, remote)
            result = await mounted.method(call, **arguments)
            body = _render(request, mounted.endpoint, result)
            if isinstance(result, Reply) and result.delivered is not None:
                self._follow_delivery(request, result.delivered)
        except Fault as fault:
            body = render_fault(request, fault)
        except CancelledError:
            body = render_fault(request, ServiceUnavailable("The request took too long"))
        except Exception:
            self.log.failure("unexpected error in {endpoint}", endpoint=mounted.name)
            self.metrics.defects.labels(mounted.name).inc()
            body = render_fault(request, _unexpected())
        self._account(mounted.name, request, caller, remote, time.monotonic() - started)
        return body

    async def _caller(self, endpoint: Endpoint, request: Request) -> Caller | None:
        if endpoint.authentication == "none":
            return None
        token = request.getHeader("X-Auth-Token")
        if not token:
            if endpoint.authentication == "optional":
                return None
            raise Unauthorized("Access denied")
        return await self._authenticate(token)

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
        self.metrics.requests.labels(name, str(request.code)).inc()
        self.metrics.request_seconds.labels(name).observe(seconds)
        self.log.info(
            "{endpoint} {status}",
            endpoint=name,
            status=request.code,
            user=caller.user if caller else "",
            remote=remote,
            milliseconds=round(seconds * 1000, 1),
        )

    def _unrouted(self, request: Request, failure: Any) -> bytes:
        begin(request, self._new_id())
        error = failure.value
        path = request.path.decode("utf-8", "replace")
        if isinstance(error, MethodNotAllowed):
            methods = sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"})
            fault: Fault = NotAllowed("Method not allowed", headers={"Allow": ", ".join(methods)})
        elif any(path.startswith(root + "/") for root in self._roots if root):
            # The original answers 400 to an unknown path below a component's root.
            fault = BadRequest("Unknown path")
        else:
            fault = ItemNotFound("Unknown path")
        body = render_fault(request, fault)
        remote = client_address(request, self.settings.trusted_proxies)
        self._account("unrouted", request, None, remote, 0.0)
        return body


class LimitedRequest(Request):
    """A request that refuses a body over the limit before it is read into memory."""

    def __init__(self, channel: HTTPChannel, body_max_bytes: int) -> None:
        super().__init__(channel)
        self._body_max_bytes = body_max_bytes
        self._body_bytes = 0
        self._refused = False

    def gotLength(self, length: int | None) -> None:
        if length is not None and length > self._body_max_bytes:
            self._refuse()
        super().gotLength(0 if length is None else min(length, self._body_max_bytes))

    def handleContentChunk(self, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > self._body_max_bytes:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def _refuse(self) -> None:
        if self._refused or self.channel is None or self.channel.transport is None:
            return
        self._refused = True
        body = codec.encode(fault_document(RequestEntityTooLarge("The body is too large")))
        head = (
            "HTTP/1.1 413 Request Entity Too Large\r\n"
            "Connection: close\r\n"
            "Content-Type: application/json; charset=UTF-8\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.channel.transport.write(head.encode() + body)
        self.channel.transport.loseConnection()


def begin(request: Request, id: str) -> None:
    """Give the request its id and the headers that every reply has."""
    identity = f"req-{id}"
    request_id.set(identity)
    headers = request.responseHeaders
    headers.removeHeader(b"Server")
    for name, value in HEADERS:
        headers.setRawHeaders(name, [value])
    headers.setRawHeaders(b"X-Request-Id", [identity.encode()])


def _peer(request: Request) -> str:
    return str(getattr(request.getClientAddress(), "host", ""))


def check_transport(peer: str, secure: bool, trusted_proxies: tuple[str, ...]) -> None:
    """Refuse plain HTTP from beyond this machine unless a listed proxy speaks it.

    Raises Forbidden. Without listed proxies plain HTTP listens on loopback only, see ``service``.
    """
    if secure or not trusted_proxies or peer in trusted_proxies:
        return
    if not ip_address(peer).is_loopback:
        raise Forbidden("Plain HTTP is not served here: use HTTPS")


def client_address(request: Request, trusted_proxies: tuple[str, ...]) -> str:
    """The client's address: the peer's, or what a listed proxy says it is."""
    peer = _peer(request)
    forwarded = request.getHeader("X-Forwarded-For")
    if peer in trusted_proxies and forwarded:
        # Only the last entry was written by our own proxy; those before it are the client's word.
        last = forwarded.split(",")[-1].strip()
        try:
            return str(ip_address(last))
        except ValueError:
            return peer
    return peer


def _call(endpoint: Endpoint, request: Request, caller: Caller | None, remote: str) -> Call[Any]:
    if len(request.args or {}) > QUERY_ARGUMENTS_MAX:
        raise BadRequest("Too many query arguments")
    query = {
        key.decode("utf-8", "replace"): values[0].decode("utf-8", "replace")
        for key, values in (request.args or {}).items()
    }
    return Call(
        body=_body(endpoint, request),
        remote=remote,
        query=query,
        caller_or_none=caller,
    )


def _body(endpoint: Endpoint, request: Request) -> Any:
    if endpoint.body is None:
        return None
    raw = request.content.read() if request.content else b""
    if not raw and endpoint.empty_body_allowed:
        return None
    content_type = request.getHeader("Content-Type") or ""
    if not content_type.lower().startswith("application/json"):
        raise BadRequest("The Content-Type must be application/json")
    return codec.structure(codec.parse_json(raw), endpoint.body)


def _render(request: Request, endpoint: Endpoint, result: Any) -> bytes:
    reply = result if isinstance(result, Reply) else Reply(result)
    request.setResponseCode(reply.status or endpoint.status)
    for name, value in reply.headers.items():
        request.setHeader(name, value)
    if reply.body is None:
        return b""
    if "Content-Type" not in reply.headers:
        request.setHeader("Content-Type", "application/json; charset=UTF-8")
    return _whole(
        request, reply.body if isinstance(reply.body, bytes) else codec.encode(reply.body)
    )


def _whole(request: Request, body: bytes) -> bytes:
    """A body whose length is told: otherwise it would be sent in chunks."""
    request.setHeader("Content-Length", str(len(body)))
    return body


def _unexpected() -> Fault:
    return InternalServerError(f"Unexpected error; the request's id is {request_id.get()}")


def fault_document(fault: Fault) -> dict[str, Any]:
    """The JSON body of a fault (compute-api reference §1)."""
    content: dict[str, Any] = {"code": fault.status, "message": fault.message}
    if fault.data is None:
        content["details"] = ""
    else:
        content["data"] = dict(fault.data)
    return {fault.name: content}


def render_fault(request: Request, fault: Fault) -> bytes:
    """Set status and headers for ``fault`` and return its body."""
    request.setResponseCode(fault.status)
    for name, value in fault.headers.items():
        request.setHeader(name, value)
    if fault.status == 304:
        return b""
    request.setHeader("Content-Type", "application/json; charset=UTF-8")
    return _whole(request, codec.encode(fault_document(fault)))
