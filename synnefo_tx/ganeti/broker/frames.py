"""Frames of AMQP 0-9-1 that are many: publishes, deliveries, acknowledgements. Pure.

Bodies stay bytes, whatever is in them. txamqp reads and writes all other methods.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from attrs import frozen

from synnefo_tx.ganeti.broker.spec import (
    BASIC,
    FRAME_BODY,
    FRAME_END,
    FRAME_HEADER,
    FRAME_HEARTBEAT,
    FRAME_METHOD,
)

PREAMBLE = b"AMQP\0\0\x09\x01"
"""How a client begins (AMQP 0-9-1 §4.2.2)."""

CHANNEL = 1
FRAME_OVERHEAD = 8
PUBLISH, RETURN, DELIVER, GET, GET_OK, GET_EMPTY, ACK, REJECT, NACK = (
    40, 50, 60, 70, 71, 72, 80, 90, 120,
)  # fmt: skip
FAST = frozenset((RETURN, DELIVER, GET_OK, GET_EMPTY, ACK, NACK))
"""Methods of the class ``basic`` from a broker that are read here."""

WITH_CONTENT = frozenset((RETURN, DELIVER, GET_OK))
KINDS = frozenset((FRAME_METHOD, FRAME_HEADER, FRAME_BODY, FRAME_HEARTBEAT))

_HEAD = struct.Struct(">BHI")
_END = bytes((FRAME_END,))
_TAG = struct.Struct(">QB")
_CONTENT = struct.Struct(">HHQ")

HEARTBEAT = _HEAD.pack(FRAME_HEARTBEAT, 0, 0) + _END


class BrokenFrame(ValueError):
    """The peer does not speak AMQP 0-9-1, or exceeds a limit."""


def split(data: bytes, frame_max: int) -> Iterator[tuple[int, int, int, int]]:
    """Kind, channel, begin and end of the payload of every whole frame in ``data``.

    Raises BrokenFrame for a frame longer than ``frame_max``, as soon as its length is known.
    """
    at, size = 0, len(data)
    while size - at >= _HEAD.size:
        kind, channel, length = _HEAD.unpack_from(data, at)
        if kind not in KINDS:
            raise BrokenFrame(f"frame of kind {kind}")
        if length > frame_max - FRAME_OVERHEAD:
            raise BrokenFrame(f"frame of {length} bytes")
        begin = at + _HEAD.size
        end = begin + length
        if end >= size:
            return
        if data[end] != FRAME_END:
            raise BrokenFrame("frame without its end")
        yield kind, channel, begin, end
        at = end + 1


@frozen
class Content:
    """A method that brings content. ``name`` is the consumer of a delivery; ``code`` and ``text``
    are those of a return."""

    method: int
    exchange: str
    routing_key: str
    name: str = ""
    tag: int = 0
    redelivered: bool = False
    text: str = ""


def _short(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    if end > len(data):
        raise BrokenFrame("text beyond the frame")
    return data[at + 1 : end].decode("utf-8", "replace"), end


def read_content(method: int, payload: bytes) -> Content:
    """A deliver, return or get-ok, from a frame's whole payload. Raises BrokenFrame."""
    try:
        if method == RETURN:
            text, at = _short(payload, 6)
            exchange, at = _short(payload, at)
            return Content(method, exchange, _short(payload, at)[0], text=text)
        name, at = _short(payload, 4) if method == DELIVER else ("", 4)
        tag, redelivered = _TAG.unpack_from(payload, at)
        exchange, at = _short(payload, at + _TAG.size)
        key = _short(payload, at)[0]
        return Content(method, exchange, key, name, tag, bool(redelivered & 1))
    except (IndexError, struct.error):
        raise BrokenFrame("a method is cut off") from None


def read_settlement(payload: bytes) -> tuple[int, bool]:
    """Tag and ``multiple`` of an ack or nack. Raises BrokenFrame."""
    try:
        tag, bits = _TAG.unpack_from(payload, 4)
    except struct.error:
        raise BrokenFrame("a settlement is cut off") from None
    return tag, bool(bits & 1)


def read_header(payload: bytes) -> tuple[int, bytes]:
    """Size of the body and the properties, from a content header. Raises BrokenFrame."""
    try:
        _, _, size = _CONTENT.unpack_from(payload)
    except struct.error:
        raise BrokenFrame("a content header is cut off") from None
    return size, payload[_CONTENT.size :]


def _frame(kind: int, payload: bytes) -> bytes:
    return _HEAD.pack(kind, CHANNEL, len(payload)) + payload + _END


def _name(text: str) -> bytes:
    content = text.encode()
    return bytes((len(content),)) + content


def publish(
    exchange: str, routing_key: str, body: bytes, properties: bytes, frame_max: int
) -> bytes:
    """The frames of a publish that comes back when no queue takes it (``mandatory``)."""
    names = _name(exchange) + _name(routing_key)
    pieces = [
        _frame(FRAME_METHOD, struct.pack(">HHH", BASIC, PUBLISH, 0) + names + b"\x01"),
        _frame(FRAME_HEADER, _CONTENT.pack(BASIC, 0, len(body)) + properties),
    ]
    step = frame_max - FRAME_OVERHEAD
    pieces += (_frame(FRAME_BODY, body[at : at + step]) for at in range(0, len(body), step))
    return b"".join(pieces)


def get(queue: str) -> bytes:
    """The frame that asks for the next message of a queue."""
    return _frame(FRAME_METHOD, struct.pack(">HHH", BASIC, GET, 0) + _name(queue) + b"\0")


def acknowledge(tag: int, multiple: bool) -> bytes:
    """The frame that acknowledges a delivery, or all up to it."""
    return _frame(FRAME_METHOD, struct.pack(">HH", BASIC, ACK) + _TAG.pack(tag, multiple))


def reject(tag: int, requeue: bool) -> bytes:
    """The frame that rejects a delivery."""
    return _frame(FRAME_METHOD, struct.pack(">HH", BASIC, REJECT) + _TAG.pack(tag, requeue))
