"""A small client of Ganeti's local query socket, for what job files do not tell of an instance.

LUXI: JSON requests and answers over a unix socket, each ended by the byte 3 (``ganeti/rpc``).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from synnefo_tx.ganeti.eventd.instance import FIELDS, Unusable, details
from synnefo_tx.ganeti.model import Json

END = b"\x03"
ANSWER_MAX_BYTES = 4 * 1024 * 1024
REST_SECONDS = 30.0


class LuxiFailure(Exception):
    """The query has no usable answer; the text says why."""


class _Query(Protocol):
    """Sends one request; ``answer`` fires with the raw answer."""

    transport: Any

    def __init__(self, request: bytes) -> None:
        self.answer: Deferred[bytes] = Deferred(lambda _: self._abort())
        self._request = request
        self._received = bytearray()

    def connectionMade(self) -> None:
        self.transport.write(self._request + END)

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if END in data:
            self._end(bytes(self._received.partition(END)[0]))
        elif len(self._received) > ANSWER_MAX_BYTES:
            self._end(LuxiFailure("the answer is too long"))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._end(LuxiFailure("the connection was closed without an answer"))

    def _end(self, outcome: bytes | LuxiFailure) -> None:
        if not self.answer.called:
            if isinstance(outcome, bytes):
                self.answer.callback(outcome)
            else:
                self.answer.errback(outcome)
            self._abort()

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()


class LuxiDetails:
    """Asks for instances, each within ``limit_seconds``. After a failure the socket is left alone
    for REST_SECONDS: news without details now is better than news with details late."""

    log = Logger()

    def __init__(self, socket: Path, limit_seconds: float, reactor: Any) -> None:
        self._socket, self._limit_seconds, self._reactor = socket, limit_seconds, reactor
        self._rests_until = 0.0

    async def of(self, instance: str) -> Json:
        """``instance_nics``, ``instance_disks`` and ``instance_hvparams``; empty if unknown."""
        if self._reactor.seconds() < self._rests_until:
            return {}
        filter_ = ["=", "name", instance]
        request = {"method": "Query", "args": ["instance", list(FIELDS), filter_]}
        asking = Deferred.fromCoroutine(self._ask(json.dumps(request).encode("ascii")))
        asking.addTimeout(self._limit_seconds, self._reactor)
        try:
            answer = await asking
        except Exception as error:
            # Whatever is wrong with the socket, the event itself is known.
            self._rests_until = self._reactor.seconds() + REST_SECONDS
            self.log.warn("no details of instances: {error}", error=repr(error), instance=instance)
            return {}
        try:
            return details(answer)
        except Unusable as error:
            self.log.info("no details: {error}", error=str(error), instance=instance)
            return {}

    async def _ask(self, request: bytes) -> bytes:
        endpoint = UNIXClientEndpoint(
            self._reactor, str(self._socket), timeout=self._limit_seconds, checkPID=False
        )
        query = await connectProtocol(endpoint, _Query(request))
        return await query.answer
