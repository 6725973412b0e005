"""Field tables and message properties on the wire (AMQP 0-9-1 §4.2.5, §4.2.6; RabbitMQ's types).

txamqp writes tables of texts and numbers only and cannot read the arrays and times with which
RabbitMQ tells why a message died.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

DEPTH_MAX = 8

_FIXED: Mapping[int, str] = {
    ord("b"): ">b", ord("B"): ">B", ord("s"): ">h", ord("u"): ">H", ord("I"): ">i", ord("i"): ">I",
    ord("l"): ">q", ord("f"): ">f", ord("d"): ">d",
}  # fmt: skip

# The fourteen properties of a message, from the highest flag bit down (§1.8.1).
_PROPERTIES = (
    "content_type", "content_encoding", "headers", "delivery_mode", "priority", "correlation_id",
    "reply_to", "expiration", "message_id", "timestamp", "type", "user_id", "app_id", "cluster_id",
)  # fmt: skip
_OCTETS = frozenset(("delivery_mode", "priority"))


class BadTable(ValueError):
    """The bytes are no table, or hold what AMQP does not know."""


def encode_table(values: Mapping[str, Any]) -> bytes:
    """The items of a table, without the length that goes before. Raises TypeError."""
    return b"".join(_short(key) + _encode_value(value) for key, value in values.items())


def _encode_value(value: Any) -> bytes:
    match value:
        case bool():
            return b"t" + bytes((value,))
        case int():
            return b"l" + struct.pack(">q", value)
        case str():
            return b"S" + _long(value.encode())
        case bytes():
            return b"S" + _long(value)
        case Mapping():
            return b"F" + _long(encode_table(value))
        case list() | tuple():
            return b"A" + _long(b"".join(map(_encode_value, value)))
        case datetime():
            return b"T" + struct.pack(">Q", int(value.timestamp()))
        case None:
            return b"V"
    raise TypeError(f"AMQP has no type for {type(value).__name__}")


def _short(text: str | bytes) -> bytes:
    content = text.encode() if isinstance(text, str) else text
    return struct.pack(">B", len(content)) + content


def _long(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


class _Reader:
    """Takes values from bytes; runs past the end raise BadTable."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self.at

    def take(self, size: int) -> bytes:
        if size > self.left:
            raise BadTable("cut off")
        piece = self._data[self.at : self.at + size]
        self.at += size
        return piece

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def short(self) -> str:
        return self.take(self.number(">B")).decode("utf-8", "replace")

    def long(self) -> bytes:
        return self.take(self.number(">I"))


def decode_table(data: bytes, depth: int = DEPTH_MAX) -> dict[str, Any]:
    """The table whose items are ``data``; texts stay str, what is not UTF-8 is marked in them.

    Raises BadTable, also for tables nested more than ``depth`` deep.
    """
    reader = _Reader(data)
    values = {}
    while reader.left:
        key = reader.short()
        values[key] = _decode_value(reader, depth)
    return values


def _decode_array(data: bytes, depth: int) -> list[Any]:
    reader = _Reader(data)
    values = []
    while reader.left:
        values.append(_decode_value(reader, depth))
    return values


_NESTED: Mapping[int, Callable[[bytes, int], Any]] = {
    ord("F"): decode_table,
    ord("A"): _decode_array,
}


def _decode_value(reader: _Reader, depth: int) -> Any:
    kind = reader.take(1)[0]
    if kind in _FIXED:
        return reader.number(_FIXED[kind])
    if kind in _NESTED:
        if depth <= 0:
            raise BadTable("nested too deep")
        return _NESTED[kind](reader.long(), depth - 1)
    match bytes((kind,)):
        case b"S":
            return reader.long().decode("utf-8", "replace")
        case b"x":
            return reader.long()
        case b"t":
            return reader.take(1) != b"\0"
        case b"T":
            return _moment(reader.number(">Q"))
        case b"D":
            return (reader.number(">B"), reader.number(">i"))
        case b"V":
            return None
    raise BadTable(f"unknown type {kind}")


def _moment(seconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise BadTable("a time beyond time") from None


def encode_properties(values: Mapping[str, Any]) -> bytes:
    """Flags and values of a content header. Raises KeyError for an unknown property."""
    flags, content = 0, b""
    unknown = set(values) - set(_PROPERTIES)
    if unknown:
        raise KeyError(min(unknown))
    for position, name in enumerate(_PROPERTIES):
        if name in values:
            flags |= 1 << (15 - position)
            content += _encode_property(name, values[name])
    return struct.pack(">H", flags) + content


def _encode_property(name: str, value: Any) -> bytes:
    if name in _OCTETS:
        return struct.pack(">B", value)
    if name == "headers":
        return _long(encode_table(value))
    if name == "timestamp":
        return struct.pack(">Q", value)
    return _short(value)


def decode_properties(data: bytes) -> dict[str, Any]:
    """The properties of a content header that are set. Raises BadTable."""
    reader = _Reader(data)
    flags = reader.number(">H")
    values: dict[str, Any] = {}
    for position, name in enumerate(_PROPERTIES):
        if not flags & (1 << (15 - position)):
            continue
        if name in _OCTETS:
            values[name] = reader.number(">B")
        elif name == "headers":
            values[name] = decode_table(reader.long())
        elif name == "timestamp":
            values[name] = reader.number(">Q")
        else:
            values[name] = reader.short()
    return values
