"""What is taken from a request: its body within its limit, its sender, its call of an endpoint."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from io import BytesIO
from ipaddress import ip_address
from typing import Any, AnyStr

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.server import Request

from synnefo_tx.caller import Caller
from synnefo_tx.faults import (
    BadRequest,
    Forbidden,
    InternalServerError,
    RequestEntityTooLarge,
)
from synnefo_tx.rest import codec
from synnefo_tx.rest.dialect import fault_document
from synnefo_tx.rest.endpoint import FORM, JSON, JSON_REPLY, Call, Endpoint
from synnefo_tx.rest.kept import Claim, KeptReplies, RequestKey, check_key
from synnefo_tx.rest.pieces import BodyPieces, Source, cut

QUERY_ARGUMENTS_MAX = 100
LINGER_SECONDS = 2.0
ABSOLUTE_FORM = re.compile(rb"https?://", re.IGNORECASE)


class LimitedRequest(Request):
    """A request whose body is bounded: collected within a limit, or handed on in pieces.

    A body over the limit is refused before it is read; what still comes of it is dropped for a
    short while. One that is handed on is served as soon as its headers are there; the sender is
    asked for it (100 Continue) when the endpoint begins to read. If the endpoint replies before it
    has read all, what comes is dropped for a short while, so that the sender sees the reply and no
    reset, and the connection ends.
    """

    channel: Any
    log = Logger()

    def __init__(
        self,
        channel: HTTPChannel,
        clock: IReactorTime,
        body_max_bytes: int,
        streamed_max_bytes: Callable[[bytes, bytes], int | None],
    ) -> None:
        # Forms are for endpoints that want them; Twisted would mix them with query arguments.
        super().__init__(channel, parsePOSTFormSubmission=False)
        self._clock = clock
        self._body_max_bytes = body_max_bytes
        self._streamed_max_bytes = streamed_max_bytes
        self._body_bytes = 0
        self._refused = False
        self._lingering: IDelayedCall | None = None
        self._expects = False
        self.pieces: BodyPieces | None = None
        self.lost = False

    def getHeader(self, key: AnyStr) -> AnyStr | None:
        """The last value of a header; asked for as text, what is no UTF-8 in it is replaced."""
        if isinstance(key, bytes):
            return super().getHeader(key)
        values = self.header_values(key)
        return values[-1] if values else None

    def header_values(self, name: str) -> list[str]:
        """All values of a header; what is no UTF-8 in them is replaced."""
        values = self.requestHeaders.getRawHeaders(name.encode("ascii")) or []
        return [value.decode("utf-8", "replace") for value in values]

    def getRequestHostname(self) -> bytes:
        """Nothing: no endpoint depends on it, and the router fails on what is no host's name."""
        return b""

    def processingFailed(self, reason: Failure) -> Failure:
        """The wrapper itself failed: log it, and leave nobody waiting for an answer."""
        self.log.failure("a request could not be served", reason)
        if self.lost:
            return reason
        if self.startedWriting:
            self.channel.transport.abortConnection()
            return reason
        self.setResponseCode(500)
        body = codec.encode(fault_document(InternalServerError("Unexpected error")))
        self.setHeader("Content-Type", JSON_REPLY)
        self.setHeader("Content-Length", str(len(body)))
        self.write(body)
        self.finish()
        return reason

    def connectionLost(self, reason: Failure) -> None:
        self.lost = True
        self._end_linger()
        if self.pieces is not None:
            self.pieces.fail(cut(reason))
        super().connectionLost(reason)

    def gotLength(self, length: int | None) -> None:
        self.content = BytesIO()
        channel = self.channel
        channel._path = origin_form(channel._path)
        limit = self._body_max_bytes
        if length != 0:
            streamed = self._streamed_max_bytes(channel._command, channel._path)
            if streamed is not None:
                limit = streamed
                self.pieces = BodyPieces(
                    Source(self._ask_for_body, self._hold, self._go_on), streamed
                )
        if length is not None and length > limit:
            self._refuse()
        elif self.pieces is not None:
            self._expects = self._takes_expectation()
            super().requestReceived(channel._command, channel._path, channel._version)

    def handleContentChunk(self, data: bytes) -> None:
        if self._refused:
            return
        if self.pieces is not None:
            self.pieces.feed(data)
            return
        self._body_bytes += len(data)
        if self._body_bytes > self._body_max_bytes:
            self._refuse()
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        if self._refused:
            return
        if self.pieces is None:
            super().requestReceived(command, path, version)
            return
        # Twisted saved the limit of idle time as it was, which is none while the sender is held.
        self.channel._savedTimeOut = self.channel.factory.timeOut
        self.pieces.end()
        if self._lingering is not None:
            self._end_linger()
            super().finish()

    def stop_reading(self) -> None:
        """What the endpoint did not read of the body is not wanted; to be called before the reply
        is written."""
        if self.pieces is not None and not self.pieces.ended:
            self.pieces.stop()
            self.setHeader("Connection", "close")

    def write(self, data: bytes) -> None:
        if not self.lost:
            super().write(data)

    def finish(self) -> None:
        if self.lost or self.finished:
            return
        if self.pieces is None or self.pieces.ended:
            super().finish()
        elif self._lingering is None:
            self.channel.persistent = False
            self._lingering = self._clock.callLater(LINGER_SECONDS, self._cut_off)

    def _cut_off(self) -> None:
        self._lingering = None
        # The decoder of the body may still be given what TLS holds: it has no request any more.
        self.channel.dataReceived = lambda data: None
        super().finish()

    def _end_linger(self) -> None:
        if self._lingering is not None and self._lingering.active():
            self._lingering.cancel()
        self._lingering = None

    def _takes_expectation(self) -> bool:
        """Whether the sender waits for 100 Continue, which Twisted would send at once."""
        expected = (self.requestHeaders.getRawHeaders(b"Expect") or [b""])[0]
        self.requestHeaders.removeHeader(b"Expect")
        return expected.lower() == b"100-continue" and self.channel._version == b"HTTP/1.1"

    def _ask_for_body(self) -> None:
        if self._expects and not self.lost:
            self.channel.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _hold(self) -> None:
        # The sender is not idle, it is held.
        self.channel.setTimeout(None)
        self.channel.transport.pauseProducing()

    def _go_on(self) -> None:
        if self.lost or self.pieces is None:
            return
        if not self.pieces.ended:
            self.channel.setTimeout(self.channel.factory.timeOut)
        self.channel.transport.resumeProducing()

    def _refuse(self) -> None:
        if self._refused or self.channel is None or self.channel.transport is None:
            return
        self._refused = True
        self.requestHeaders.removeHeader(b"Expect")
        body = codec.encode(fault_document(RequestEntityTooLarge("The body is too large")))
        head = (
            "HTTP/1.1 413 Request Entity Too Large\r\n"
            "Connection: close\r\n"
            "Content-Type: application/json; charset=UTF-8\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self.log.info("a body over {bytes} bytes is refused", bytes=self._body_max_bytes)
        self.channel.factory.on_refused(413)
        self.channel.transport.write(head.encode() + body)
        # Closing at once would reset the connection under who is still sending.
        self.channel.dataReceived = lambda data: None
        self._lingering = self._clock.callLater(LINGER_SECONDS, self._end_refused)

    def _end_refused(self) -> None:
        self._lingering = None
        self.channel.transport.loseConnection()


def origin_form(target: bytes) -> bytes:
    """A request's target as path and query; clients of proxies send a whole URL, which a server
    takes as well (RFC 9112 section 3.2.2)."""
    if not ABSOLUTE_FORM.match(target):
        return target
    _, slash, rest = target.partition(b"://")[2].partition(b"/")
    return b"/" + rest if slash else b"/"


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


def call_of(
    endpoint: Endpoint,
    request: LimitedRequest,
    caller: Caller | None,
    remote: str,
    kept: KeptReplies,
) -> Call[Any]:
    """The call that a request makes; raises BadRequest."""
    if len(request.args or {}) > QUERY_ARGUMENTS_MAX:
        raise BadRequest("Too many query arguments")
    if b"%00" in request.uri:
        # PostgreSQL has no text that holds it.
        raise BadRequest("The URL holds a NUL")
    query = {
        key.decode("utf-8", "replace"): values[0].decode("utf-8", "replace")
        for key, values in (request.args or {}).items()
    }
    raw = request.content.read() if request.content and endpoint.body is not None else b""
    return Call(
        body=_body(endpoint, raw, request.getHeader("Content-Type") or ""),
        remote=remote,
        query=query,
        last_event_id=request.getHeader("Last-Event-ID") or "",
        caller_or_none=caller,
        header=request.getHeader,
        pieces_or_none=request.pieces,
        claim_or_none=_claim(endpoint, request, caller, raw, kept) if endpoint.idempotent else None,
    )


def _claim(
    endpoint: Endpoint,
    request: LimitedRequest,
    caller: Caller | None,
    raw: bytes,
    kept: KeptReplies,
) -> Claim | None:
    keys = request.header_values("Idempotency-Key")
    if not keys or caller is None:
        return None
    path = request.path.decode("utf-8", "replace").rstrip("/")
    wanted = RequestKey(caller.user, path, check_key(keys))
    return Claim(kept, wanted, hashlib.sha256(raw).digest(), endpoint.status)


DECODERS: Mapping[str, Callable[[bytes], Any]] = {
    JSON: codec.parse_json,
    FORM: codec.parse_form,
}


def _body(endpoint: Endpoint, raw: bytes, content_type: str) -> Any:
    if endpoint.body is None or (not raw and endpoint.empty_body_allowed):
        return None
    given = content_type.lower()
    for media_type in endpoint.request_types:
        if given.startswith(media_type):
            return codec.structure(DECODERS[media_type](raw), endpoint.body)
    raise BadRequest(f"The Content-Type must be {' or '.join(endpoint.request_types)}")
