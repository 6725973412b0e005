"""Replies whose body is written piece by piece, for as long as the client reads.

An endpoint returns a ``Stream``; the wrapper writes the head and gives it a ``StreamBody``. What is
written faster than the client reads waits in a bounded queue: ``write`` is for news, which cannot
wait, and cuts off who does not read; ``send`` is for content, and waits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from attrs import Factory, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.server import Request
from zope.interface import implementer


class StreamEnded(Exception):
    """The reply is over: the client went away, or the server ended it."""


@implementer(IPushProducer)
class StreamBody:
    """The body of one reply. ``ended(was_cut)`` is called once, however it ends."""

    def __init__(self, request: Request, unread_max_bytes: int) -> None:
        self.unread_bytes = 0
        self.is_open = True
        self.ended: Callable[[bool], None] | None = None
        self._request: Any = request
        self._unread_max_bytes = unread_max_bytes
        self._queue: deque[bytes] = deque()
        self._is_paused = False
        self._is_ending = False
        self._was_cut = False
        self._room: list[Deferred[None]] = []

    def start(self) -> None:
        """Take the connection's back pressure; called by the wrapper."""
        self._request.notifyFinish().addBoth(self._over)
        self._request.registerProducer(self, True)

    def write(self, data: bytes) -> None:
        """Write, or queue; a client that has more unread than it may is cut off."""
        if not self.is_open or self._is_ending:
            return
        if not self._is_paused:
            self._request.write(data)
            return
        self._queue.append(data)
        self.unread_bytes += len(data)
        if self.unread_bytes > self._unread_max_bytes:
            self.cut()

    async def send(self, data: bytes) -> None:
        """Write when the client has read what was written before; raises StreamEnded."""
        while self._is_paused and self.is_open:
            room: Deferred[None] = Deferred(self._room.remove)
            self._room.append(room)
            await room
        if not self.is_open or self._is_ending:
            raise StreamEnded
        self._request.write(data)

    def end(self) -> None:
        """End the reply as a whole one, once what waits has gone out."""
        if self.is_open and not self._is_ending:
            self._is_ending = True
            self._finish_if_empty()

    def cut(self) -> None:
        """End the connection at once; what was not sent is dropped."""
        if self.is_open:
            self._was_cut = True
            self._request.channel.transport.abortConnection()

    def _finish_if_empty(self) -> None:
        if self._is_ending and not self._queue and self.is_open:
            self._request.unregisterProducer()
            self._request.finish()

    def _over(self, _: object) -> None:
        self.is_open = False
        self._queue.clear()
        self.unread_bytes = 0
        if self.ended is not None:
            self.ended(self._was_cut)
        self._wake()

    def _wake(self) -> None:
        waiting, self._room = self._room, []
        for each in waiting:
            each.callback(None)

    # IPushProducer: the transport speaks.

    def pauseProducing(self) -> None:
        self._is_paused = True

    def resumeProducing(self) -> None:
        self._is_paused = False
        while self._queue and not self._is_paused and self.is_open:
            data = self._queue.popleft()
            self.unread_bytes -= len(data)
            self._request.write(data)
        if not self._queue:
            self._wake()
            self._finish_if_empty()

    def stopProducing(self) -> None:
        """The connection is gone; ``_over`` is told by the request."""


@frozen
class Stream:
    """An answer that ``begin`` writes; it is called once, with the head on its way."""

    begin: Callable[[StreamBody], None]
    unread_max_bytes: int
    headers: Mapping[str, str] = Factory(dict)
    status: int = 200


class OpenStreams:
    """The streams of a process, so that a stop can end them."""

    def __init__(self) -> None:
        self._bodies: set[StreamBody] = set()

    def __len__(self) -> int:
        return len(self._bodies)

    def head(self, request: Request, reply_type: str, stream: Stream) -> None:
        """Set status and headers of the reply."""
        request.setResponseCode(stream.status)
        request.setHeader("Content-Type", reply_type)
        for name, value in stream.headers.items():
            request.setHeader(name, value)

    def begin(self, request: Request, stream: Stream) -> None:
        """Have the stream begin, with its head."""
        body = StreamBody(request, stream.unread_max_bytes)
        self._bodies.add(body)
        request.notifyFinish().addBoth(lambda _: self._bodies.discard(body))
        body.start()
        stream.begin(body)

    def end_all(self) -> None:
        """End every reply, cleanly."""
        for body in list(self._bodies):
            body.end()
