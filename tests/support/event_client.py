"""A client of the stream of changes, with the plain rules of server-sent events."""

from __future__ import annotations

import json
from typing import Any

from attrs import frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.web.client import Agent, HTTPConnectionPool, ResponseDone
from twisted.web.http_headers import Headers


@frozen
class Event:
    """One event as a script sees it."""

    name: str
    id: str
    data: Any


class Events(Protocol):
    """A stream: what came so far, ``ended`` once it is over (True: as a whole reply)."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ended: bool | None = None
        self._rest = b""
        self._waiting: list[tuple[Any, Deferred]] = []

    def dataReceived(self, data: bytes) -> None:
        *blocks, self._rest = (self._rest + data).split(b"\n\n")
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
            self.events.append(Event(fields["event"], fields["id"], json.loads(fields["data"])))
        self._wake()

    def connectionLost(self, reason=connectionDone) -> None:
        self.ended = reason.check(ResponseDone) is not None
        self._wake()

    def _wake(self) -> None:
        for each in list(self._waiting):
            predicate, waiting = each
            if predicate(self):
                self._waiting.remove(each)
                waiting.callback(None)

    async def until(self, predicate, limit_seconds: float = 10) -> None:
        """Wait until ``predicate(self)`` holds."""
        if predicate(self):
            return
        waiting: Deferred[None] = Deferred(lambda d: None)
        self._waiting.append((predicate, waiting))
        try:
            await waiting.addTimeout(limit_seconds, reactor)
        except Exception as error:
            error.add_note(f"came: {self.events}")
            raise

    async def event(self, name: str, **wanted: Any) -> Event:
        """The first event of a name, of all that came, whose data has these values."""

        def fits(each: Event) -> bool:
            return each.name == name and all(each.data.get(k) == v for k, v in wanted.items())

        await self.until(lambda stream: any(fits(each) for each in stream.events))
        return next(each for each in self.events if fits(each))

    def has(self, name: str, id: Any) -> bool:
        """Whether a thing was told."""
        return any(each.name == name and each.data.get("id") == id for each in self.events)

    @property
    def last_id(self) -> str:
        return self.events[-1].id if self.events else ""

    def close(self) -> None:
        """Go away, as a client whose network is gone."""
        if self.ended is None:
            self.transport.loseConnection()

    def pause(self) -> None:
        """Read no more."""
        self.transport.pauseProducing()


async def follow(url: str, token: str, last_event_id: str = "") -> tuple[Any, Events]:
    """The response to a request for the stream, and the stream."""
    headers = Headers({"X-Auth-Token": [token], "Accept": ["text/event-stream"]})
    if last_event_id:
        headers.addRawHeader("Last-Event-ID", last_event_id)
    agent = Agent(reactor, connectTimeout=5, pool=HTTPConnectionPool(reactor, persistent=False))
    response = await agent.request(b"GET", f"{url}/events/v1".encode(), headers)
    stream = Events()
    response.deliverBody(stream)
    return response, stream
