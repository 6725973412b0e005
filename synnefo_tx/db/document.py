"""JSON documents that PostgreSQL writes, and whose bytes go to the client as they are.

A document is shown as the Python structure that it will be, with ``Json`` and ``Quoted`` where a
row's values stand; ``written`` makes one ``concat`` of it. That is several times cheaper than
``json_build_object``, and many times cheaper than making the document in Python.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from attrs import frozen

ARGUMENTS_MAX = 100
"""PostgreSQL passes no more to a function."""


@frozen
class Json:
    """An SQL expression whose text is JSON, and never NULL."""

    sql: str


@frozen
class Quoted:
    """A JSON string: SQL expressions, with commas between, whose texts need no escaping."""

    sql: str


@frozen
class Listed:
    """An SQL expression whose text is the inside of a JSON array, or NULL for an empty one."""

    sql: str


@frozen
class Members:
    """An SQL expression whose text is the inside of a JSON object, or NULL for an empty one."""

    sql: str


def text(sql: str) -> Json:
    """A string of any content."""
    return Json(f"to_json({sql}::text)")


def boolean(sql: str) -> Json:
    """True or false."""
    return Json(f"CASE WHEN {sql} THEN 'true' ELSE 'false' END")


def moment(sql: str) -> Quoted:
    """ISO 8601 in UTC with ``+00:00``."""
    shown = 'YYYY-MM-DD"T"HH24:MI:SS.US+00:00'
    return Quoted(f"to_char({sql} AT TIME ZONE 'UTC', '{shown}')")


def written(document: Any) -> str:
    """The SQL expression that writes ``document``."""
    pieces: list[str] = []
    literal = ""
    for is_sql, piece in _pieces(document):
        if not is_sql:
            literal += piece
            continue
        if literal:
            pieces.append(_literal(literal))
            literal = ""
        pieces.append(piece)
    pieces.append(_literal(literal))
    return _concat(pieces)


def _concat(pieces: list[str]) -> str:
    if len(pieces) > ARGUMENTS_MAX:
        halves = len(pieces) // 2
        return f"concat({_concat(pieces[:halves])}, {_concat(pieces[halves:])})"
    return f"concat({', '.join(pieces)})"


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''").replace("%", "%%") + "'"


def _pieces(value: Any) -> Iterator[tuple[bool, str]]:
    """What is written in turn: (True, an SQL expression) or (False, a text)."""
    if isinstance(value, Json):
        yield True, value.sql
    elif isinstance(value, Quoted):
        yield False, '"'
        yield True, value.sql
        yield False, '"'
    elif isinstance(value, Listed | Members):
        opening, closing = "[]" if isinstance(value, Listed) else "{}"
        yield False, opening
        yield True, value.sql
        yield False, closing
    elif isinstance(value, dict):
        yield False, "{"
        for position, (key, each) in enumerate(value.items()):
            yield False, f"{', ' if position else ''}{json.dumps(key)}: "
            yield from _pieces(each)
        yield False, "}"
    elif isinstance(value, list):
        yield False, "["
        for position, each in enumerate(value):
            yield False, ", " if position else ""
            yield from _pieces(each)
        yield False, "]"
    else:
        yield False, json.dumps(value)
