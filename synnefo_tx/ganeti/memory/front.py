"""The HTTP side of RAPI: credentials, so many clients at a time, and the faults of the wire."""

# mypy: disallow-untyped-calls=False
# (twisted.web.server is not annotated)
from __future__ import annotations

import hmac
from base64 import b64encode
from collections import deque
from collections.abc import Callable
from io import BytesIO
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web import server
from twisted.web.http import datetimeToString
from twisted.web.resource import IResource, Resource

from synnefo_tx.ganeti.memory.faults import CallFault, Fault, Faults
from synnefo_tx.ganeti.memory.wire import error_body

MAX_CLIENTS = 21
"""RAPI's limit is 20, but it waits only once there are more than that."""

BACKLOG = 1000
BODY_MAX_BYTES = 4 * 1024 * 1024


class RapiRequest(server.Request):
    """A request whose answer is sent whole, with its length, in the way that a fault wants."""

    site: Any
    transport: Any
    content: Any
    fault: Fault | None = None
    gone = False

    def process(self) -> None:
        self._answer: list[bytes] = []
        self._body = self.content.read()  # twisted closes the file when the client leaves
        self.notifyFinish().addErrback(self._left)
        super().process()

    def _left(self, reason: Failure) -> None:
        self.gone = True

    def write(self, data: bytes) -> None:
        self._answer.append(data)

    def finish(self) -> None:
        """The answer is complete: send it, or do what the fault wants."""
        kind = self.fault.kind if self.fault else None
        if kind is CallFault.REPLY_LOST:
            self.cut()
        elif kind is CallFault.REPLY_DELAYED and self.fault:
            self.site.clock.callLater(self.fault.seconds, self._send)
        elif kind is CallFault.GARBAGE:
            self._answer = [b"\x00not json"]
            self._send()
        elif kind is CallFault.TRUNCATED:
            self._send_part()
        else:
            self._send()

    def body(self) -> bytes:
        """What the client sent, which can be read again from ``content`` after this."""
        self.content = BytesIO(self._body)
        return bytes(self._body)

    def refuse(self, status: int, body: bytes, media: bytes = b"application/json") -> None:
        """Answer without asking RAPI."""
        self.setResponseCode(status)
        self.setHeader(b"Content-Type", media)
        self._answer = [body]
        self._send()

    def cut(self) -> None:
        """Close the connection without an answer."""
        if not self.gone:
            self.transport.abortConnection()
        self._wrote()

    def _headers(self, length: int) -> None:
        self.setHeader(b"Server", b"Ganeti 3.0.2")
        self.setHeader(b"Date", datetimeToString(self.site.clock.seconds()))
        self.setHeader(b"Connection", b"close")
        self.setHeader(b"Content-Length", b"%d" % length)

    def _send(self) -> None:
        if self.gone:
            return
        body = b"".join(self._answer)
        self._headers(len(body))
        super().write(body)
        super().finish()
        self._wrote()

    def _send_part(self) -> None:
        if self.gone:
            return
        body = b"".join(self._answer)
        self._headers(len(body))
        super().write(body[: len(body) // 2])
        self.transport.loseConnection()
        self._wrote()

    def _wrote(self) -> None:
        if self.site.after_write is not None:
            self.site.after_write()


class RapiSite(server.Site):
    """Serves a ``Front``; writes no access log, which the caller has."""

    requestFactory = RapiRequest

    def __init__(self, resource: IResource, clock: IReactorTime) -> None:
        super().__init__(resource, requestFactory=RapiRequest, reactor=clock)
        self.clock = clock
        self.after_write: Callable[[], None] | None = None

    def log(self, request: Any) -> None:
        """Nothing."""


class Front(Resource):
    """Passes requests to RAPI, ``MAX_CLIENTS`` at a time.

    A client that leaves its place in the queue does not take its request along: what arrived is
    served when its turn comes, as RAPI does.
    """

    isLeaf = True

    def __init__(
        self,
        rapi: IResource,
        knows: Callable[[str, str], bool],
        credentials: tuple[str, str],
        faults: Faults,
        clock: IReactorTime,
    ) -> None:
        super().__init__()
        self._rapi = rapi
        self._knows = knows
        self._authorization = b"Basic " + b64encode(":".join(credentials).encode())
        self._faults = faults
        self._clock = clock
        self._serving = 0
        self._queue: deque[RapiRequest] = deque()

    def render(self, request: RapiRequest) -> int:
        if self._serving < MAX_CLIENTS:
            self._serve(request)
        elif len(self._queue) < BACKLOG:
            self._queue.append(request)
        else:
            request.cut()
        return server.NOT_DONE_YET

    def _serve(self, request: RapiRequest) -> None:
        if not request.gone:
            self._serving += 1
            request.notifyFinish().addBoth(self._left)
        self._answer(request)

    def _left(self, result: Any) -> None:
        self._serving -= 1
        while self._queue and self._serving < MAX_CLIENTS:
            self._serve(self._queue.popleft())

    def _answer(self, request: RapiRequest) -> None:
        fault = self._faults.take_call(request.method.decode(), request.path.decode("latin-1"))
        request.fault = fault
        kind = fault.kind if fault else None
        if kind is CallFault.REQUEST_LOST:
            request.cut()
        elif kind is CallFault.ACCEPTED_LATE and fault:
            self._clock.callLater(fault.seconds, self._ask, request)
        elif kind is CallFault.BAD_GATEWAY:
            request.refuse(502, b"<html>bad gateway</html>", b"text/html")
        elif kind is CallFault.UNAUTHORIZED or self._unauthorized(request):
            request.setHeader(b"WWW-Authenticate", b'Basic realm="Ganeti Remote API"')
            request.refuse(401, error_body(401, "Unauthorized"))
        elif kind is CallFault.EMPTY_LIST:
            request.refuse(200, b"[]")
        elif kind is not CallFault.HANGS:
            self._ask(request)

    def _ask(self, request: RapiRequest) -> None:
        if len(request.body()) > BODY_MAX_BYTES:
            request.cut()
        else:
            request.render(self._rapi)

    def _unauthorized(self, request: RapiRequest) -> bool:
        """Without credentials all is forbidden; with wrong ones, what there is."""
        given = request.getHeader(b"authorization")
        if given is None:
            return True
        if hmac.compare_digest(given, self._authorization):
            return False
        return self._knows(request.method.decode("latin-1"), request.path.decode("latin-1"))
