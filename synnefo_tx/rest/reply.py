"""What every reply carries, and how results and faults become bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from twisted.web.server import Request

from synnefo_tx.faults import Fault, InternalServerError
from synnefo_tx.log import request_id
from synnefo_tx.rest.dialect import DIALECTS
from synnefo_tx.rest.endpoint import JSON_REPLY, DialectName, Endpoint, Reply

RETRY_AFTER_SECONDS = "2"
PHRASES = {each.value: each.phrase.encode() for each in HTTPStatus}
HEADERS = [
    (b"Cache-Control", b"max-age=0, no-cache, no-store, must-revalidate"),
    (b"Vary", b"X-Auth-Token, Cookie"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Content-Security-Policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"Strict-Transport-Security", b"max-age=31536000"),
]


def begin(request: Request, id: str) -> None:
    """Give the request its id and the headers that every reply has."""
    identity = f"req-{id}"
    request_id.set(identity)
    headers = request.responseHeaders
    headers.removeHeader(b"Server")
    # As setRawHeaders would do it, without looking at each name and value again for each request.
    headers._rawHeaders.update({name: [value] for name, value in HEADERS})
    headers.setRawHeaders(b"X-Request-Id", [identity.encode()])


def render(request: Request, endpoint: Endpoint, result: Any) -> bytes:
    """Set status and headers for what an endpoint gave, and return the body."""
    reply = result if isinstance(result, Reply) else Reply(result)
    _set_status(request, reply.status or endpoint.status)
    for name, value in reply.headers.items():
        request.setHeader(name, value)
    if reply.body is None:
        return b""
    if "Content-Type" in reply.headers or endpoint.reply_type != JSON_REPLY:
        request.responseHeaders.setRawHeaders(
            "Content-Type", [reply.headers.get("Content-Type", endpoint.reply_type)]
        )
        return _whole(request, bytes(reply.body))
    written = DIALECTS[endpoint.dialect].document(request, endpoint, reply.body)
    request.setHeader("Content-Type", written.media_type)
    return _whole(request, written.body)


def _set_status(request: Request, status: int) -> None:
    """The status with its phrase; Twisted knows fewer (422 and 429 are none of its own)."""
    request.setResponseCode(status, PHRASES.get(status))


def _whole(request: Request, body: bytes) -> bytes:
    """A body whose length is told: otherwise it would be sent in chunks."""
    request.setHeader("Content-Length", str(len(body)))
    return body


def unexpected() -> Fault:
    """The fault for a defect: a fixed text, and the id under which the log has more."""
    return InternalServerError(f"Unexpected error; the request's id is {request_id.get()}")


def render_fault(request: Request, fault: Fault, dialect: DialectName) -> bytes:
    """Set status and headers for ``fault`` and return its body."""
    _set_status(request, fault.status)
    if fault.status == 503:
        request.setHeader("Retry-After", RETRY_AFTER_SECONDS)
    for name, value in fault.headers.items():
        request.setHeader(name, value)
    if fault.status == 304:
        return b""
    written = DIALECTS[dialect].fault(request, fault)
    request.setHeader("Content-Type", written.media_type)
    return _whole(request, written.body)
