"""What is taken from a request: its body within its limit, its sender, its call of an endpoint."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

from synnefo_tx.caller import Caller
from synnefo_tx.faults import BadRequest, Forbidden, RequestEntityTooLarge
from synnefo_tx.rest import codec
from synnefo_tx.rest.endpoint import Call, Endpoint
from synnefo_tx.rest.reply import fault_document

QUERY_ARGUMENTS_MAX = 100


class LimitedRequest(Request):
    """A request that refuses a body over the limit before it is read into memory."""

    def __init__(self, channel: HTTPChannel, body_max_bytes: int) -> None:
        super().__init__(channel)
        self._body_max_bytes = body_max_bytes
        self._body_bytes = 0
        self._refused = False
        self.lost = False

    def connectionLost(self, reason: Failure) -> None:
        self.lost = True
        super().connectionLost(reason)

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


def peer_of(request: Request) -> str:
    """The address of the other end of the connection."""
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
    peer = peer_of(request)
    forwarded = request.getHeader("X-Forwarded-For")
    if peer in trusted_proxies and forwarded:
        # Only the last entry was written by our own proxy; those before it are the client's word.
        last = forwarded.split(",")[-1].strip()
        try:
            return str(ip_address(last))
        except ValueError:
            return peer
    return peer


def call_of(endpoint: Endpoint, request: Request, caller: Caller | None, remote: str) -> Call[Any]:
    """The call that a request makes; raises BadRequest."""
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
