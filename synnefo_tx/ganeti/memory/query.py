"""Filtered queries for jobs (``PUT /2/query/job``), as luxid answers them."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from synnefo_tx.ganeti.memory.model import Json

JOB_FIELDS: Mapping[str, tuple[str, str, str]] = {
    "id": ("ID", "number", "Job ID"),
    "status": ("Status", "text", "Job status"),
    "ops": ("OpCodes", "other", "List of all opcodes"),
    "opresult": ("OpCode_result", "other", "List of opcodes results"),
    "opstatus": ("OpCode_status", "other", "List of opcodes status"),
    "oplog": ("OpCode_log", "other", "List of opcode output logs"),
    "summary": ("Summary", "other", "List of per-opcode summaries"),
    "received_ts": (
        "Received",
        "other",
        "Timestamp of when job was received (tuple containing seconds and microseconds)",
    ),
    "start_ts": (
        "Start",
        "other",
        "Timestamp of job start (tuple containing seconds and microseconds)",
    ),
    "end_ts": ("End", "other", "Timestamp of job end (tuple containing seconds and microseconds)"),
    "archived": ("Archived", "bool", "Whether job is archived"),
}

NORMAL, UNKNOWN, UNAVAILABLE = 0, 1, 3
_MAX_DEPTH = 50

_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


class BadFilter(Exception):
    """RAPI answers the query with this status and text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def matches(qfilter: Any, row: Json, depth: int = 0) -> bool:
    """Whether the filter, as in Ganeti's query language 2, accepts the row. Raises BadFilter."""
    if qfilter is None:
        return True
    if not isinstance(qfilter, list) or not qfilter or depth > _MAX_DEPTH:
        raise BadFilter(502, f"Failed to parse request: Cannot convert value {qfilter!r:.200}")
    operand, *rest = qfilter
    if operand in ("|", "&"):
        parts = [matches(part, row, depth + 1) for part in rest]
        return any(parts) if operand == "|" else all(parts)
    if operand == "!" and len(rest) == 1:
        return not matches(rest[0], row, depth + 1)
    if operand == "?" and len(rest) == 1:
        return bool(row.get(rest[0]))
    if operand in ("=~", "=[]", *_COMPARISONS) and len(rest) == 2:
        return _compare(operand, row.get(rest[0]), rest[1])
    raise BadFilter(502, f"Failed to parse request: Unknown filter operand '{operand}'")


def _compare(operand: str, value: Any, wanted: Any) -> bool:
    if not isinstance(wanted, str | int) or isinstance(wanted, bool):
        text = "Failed to parse request: Cannot deserialise filter value, expecting string or "
        raise BadFilter(502, f"{text}integer, got {str(wanted).lower()}")
    if operand == "=[]":
        return isinstance(value, list) and wanted in value
    if operand == "=~":
        return isinstance(value, str) and re.search(str(wanted), value) is not None
    if type(value) is not type(wanted):
        shown = f'QuotedString "{wanted}"' if isinstance(wanted, str) else f"NumericValue {wanted}"
        text = f"Invalid types in comparison, trying to compare {value} with '{shown}'"
        raise BadFilter(500, text)
    return bool(_COMPARISONS[operand](value, wanted))


def named_ids(qfilter: Any) -> set[int] | None:
    """The ids that a filter made only of ``=`` on ids and ``|`` names, None for any other."""
    match qfilter:
        case ["=" | "==", "id", int(job_id)]:
            return {job_id}
        case ["|", *parts] if parts:
            named = [named_ids(part) for part in parts]
            if any(ids is None for ids in named):
                return None
            return {job_id for ids in named for job_id in ids or ()}
    return None


def query_jobs(jobs: Iterable[Json], fields: Any, qfilter: Any) -> Json:
    """The answer to a query. ``jobs`` are rows of ``fields.job_fields``, ascending by id.

    Archived jobs are looked at when the field ``archived`` is asked for, or when the filter names
    ids; an id that is named and not there gives a row of its own. Raises BadFilter.
    """
    if not isinstance(fields, list) or not all(isinstance(field, str) for field in fields):
        raise BadFilter(502, "Failed to parse request: Unable to read list")
    named = named_ids(qfilter)
    deep = "archived" in fields or named is not None
    rows = [row for row in jobs if (deep or not row["archived"]) and matches(qfilter, row)]
    data = [[_value(row, field) for field in fields] for row in rows]
    missing = (named or set()) - {row["id"] for row in rows}
    data += [[_absent(job_id, field) for field in fields] for job_id in missing]
    if named is not None and "id" in fields:
        at = fields.index("id")
        data.sort(key=lambda row: row[at][1])
    return {"data": data, "fields": [_described(field) for field in fields]}


def _value(row: Json, field: str) -> Sequence[Any]:
    return [NORMAL, row[field]] if field in JOB_FIELDS else [UNKNOWN, None]


def _absent(job_id: int, field: str) -> Sequence[Any]:
    if field not in JOB_FIELDS:
        return [UNKNOWN, None]
    return [NORMAL, job_id] if field == "id" else [UNAVAILABLE, None]


def _described(field: str) -> Json:
    if field not in JOB_FIELDS:
        text = f"Unknown field '{field}'"
        return {"name": field, "title": field, "kind": "unknown", "doc": text}
    title, kind, text = JOB_FIELDS[field]
    return {"name": field, "title": title, "kind": kind, "doc": text}
