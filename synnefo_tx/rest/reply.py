"""What every reply carries, and how results and faults become bytes."""

from __future__ import annotations

from typing import Any

from twisted.web.server import Request

from synnefo_tx.faults import Fault, InternalServerError
from synnefo_tx.log import request_id
from synnefo_tx.rest import codec
from synnefo_tx.rest.endpoint import JSON_REPLY, Endpoint, Reply

RETRY_AFTER_SECONDS = "2"
HEADERS = [
    (b"Cache-Control", b"max-age=0, no-cache, no-store, must-revalidate"),
    (b"Vary", b"X-Auth-Token"),
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
    for name, value in HEADERS:
        headers.setRawHeaders(name, [value])
    headers.setRawHeaders(b"X-Request-Id", [identity.encode()])


def render(request: Request, endpoint: Endpoint, result: Any) -> bytes:
    """Set status and headers for what an endpoint gave, and return the body."""
    reply = result if isinstance(result, Reply) else Reply(result)
    request.setResponseCode(reply.status or endpoint.status)
    for name, value in reply.headers.items():
        request.setHeader(name, value)
    if reply.body is None:
        return b""
    if "Content-Type" not in reply.headers:
        request.setHeader("Content-Type", endpoint.reply_type)
    return _whole(
        request, reply.body if isinstance(reply.body, bytes) else codec.encode(reply.body)
    )


def _whole(request: Request, body: bytes) -> bytes:
    """A body whose length is told: otherwise it would be sent in chunks."""
    request.setHeader("Content-Length", str(len(body)))
    return body


def unexpected() -> Fault:
    """The fault for a defect: a fixed text, and the id under which the log has more."""
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
    if fault.status == 503:
        request.setHeader("Retry-After", RETRY_AFTER_SECONDS)
    for name, value in fault.headers.items():
        request.setHeader(name, value)
    if fault.status == 304:
        return b""
    request.setHeader("Content-Type", JSON_REPLY)
    return _whole(request, codec.encode(fault_document(fault)))
