"""RAPI's form of requests and answers: JSON, and how errors are told."""

from __future__ import annotations

import html
import json
from typing import Any

from twisted.web.iweb import IRequest

from synnefo_tx.ganeti.memory.model import Json

_EXPLAINED = {
    400: "Bad request syntax or unsupported method",
    401: "No permission -- see authorization schemes",
    404: "Nothing matches the given URI",
    415: "Entity body in unsupported format",
    500: "Server got itself in trouble",
    501: "Server does not support this operation",
    502: "Invalid responses from another server/proxy",
}


class Refused(Exception):
    """An answer other than 200; ``message`` is shown."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def error_body(status: int, message: str) -> bytes:
    """RAPI's form of an error; its text is HTML-escaped, quotes too."""
    error = {"code": status, "message": html.escape(message), "explain": _EXPLAINED[status]}
    return json.dumps(error).encode()


def answer(request: IRequest, value: Any) -> bytes:
    """The body of an answer, whose media type is set."""
    request.setHeader(b"Content-Type", b"application/json")
    return json.dumps(value).encode()


def _read_body(request: IRequest) -> Any:
    """The decoded body, None when there is none. Raises Refused."""
    content = request.content.read()
    if not content:
        return None
    media = request.getHeader(b"content-type") or b""
    if media.split(b";")[0].strip().lower() != b"application/json":
        raise Refused(415, "Unsupported Media Type")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as broken:
        raise Refused(400, "Unable to parse JSON data") from broken


def body_of(request: IRequest) -> Json:
    """The body's object, an empty one when there is no body. Raises Refused."""
    body = _read_body(request)
    if body is None:
        return {}
    if not isinstance(body, dict):
        kind = type(body).__name__
        raise Refused(400, f"Body contents: Type is '{kind}', but 'dict' is expected")
    return body


def query_value(request: IRequest, name: str) -> str | None:
    """The last value of that name in the query, None if absent."""
    values = request.args.get(name.encode())
    return values[-1].decode("utf-8", "replace") if values else None


def number(request: IRequest, name: str) -> int:
    """A number in the query, 0 if absent. Raises Refused."""
    try:
        return int(query_value(request, name) or "0")
    except ValueError as broken:
        raise Refused(400, f"Invalid value for the '{name}' parameter") from broken
