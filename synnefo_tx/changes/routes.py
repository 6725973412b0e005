"""HTTP of the stream of changes: server-sent events (HTML standard §9.2)."""

from __future__ import annotations

from functools import partial

from synnefo_tx.changes.model import Position, position
from synnefo_tx.changes.operations import Streams
from synnefo_tx.rest.endpoint import Call, endpoint
from synnefo_tx.rest.streaming import Stream

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
NOWHERE = Position(0, 0)
"""What an id means that no stream of ours gave: changes may have been missed."""


class EventRoutes:
    """``/events``."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    @endpoint("GET", "/v1", action="events:follow", reply_type="text/event-stream")
    async def follow(self, call: Call[None]) -> Stream:
        """Follow what changes of what the caller sees, as server-sent events."""
        self._streams.check_room(call.caller)
        last = call.last_event_id
        resumed = (position(last) or NOWHERE) if last else None
        begin = partial(self._streams.follow, call.caller, resumed)
        return Stream(begin, self._streams.settings.unread_max_bytes, HEADERS)
