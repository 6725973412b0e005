"""The journal as JSON: the activity that users see (web-ui reference §4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synnefo_tx.journal.model import Entry


def who(entry: Entry) -> str:
    """A user's uuid, ``operator`` whoever that was, ``system``, or nothing."""
    return entry.actor.partition(":")[0]


def activity(entry: Entry, user: str) -> dict[str, Any]:
    """One entry as ``user`` may know it: an address only where it is their own."""
    return {
        "id": entry.id,
        "who": who(entry),
        "address": entry.remote if entry.actor == user else "",
        "action": entry.action,
        "kind": entry.kind,
        "object": entry.object,
        "project": entry.project,
        "details": entry.details,
        "request_id": entry.request if entry.actor == user else "",
        "started": entry.at.isoformat(),
        "ended": None if entry.ended is None else entry.ended.isoformat(),
        "result": entry.result,
    }


def page(entries: Sequence[Entry], user: str, limit: int) -> dict[str, Any]:
    """A page, newest first; ``before`` asks for the next one if there may be one."""
    more = entries[-1].id if len(entries) == limit else None
    return {"activity": [activity(each, user) for each in entries], "before": more}
