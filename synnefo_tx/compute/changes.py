"""``changes-since``: polling for what changed, removals included (compute-api reference §1)."""

from __future__ import annotations

from collections.abc import Sized
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from synnefo_tx.faults import BadRequest, NotModified
from synnefo_tx.rest.endpoint import Call
from synnefo_tx.settings import Compute

EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Since when listings of changes hold everything, what is deleted too."""


@frozen
class Since:
    """The moment that a poller names, or none."""

    moment: datetime | None

    def reply(self, document: dict[str, Any], found: Sized) -> dict[str, Any]:
        """The document; raises NotModified when a poller would learn nothing."""
        if self.moment is not None and not len(found):
            raise NotModified()
        return document


def changes_since(call: Call[Any], settings: Compute, now: datetime | None = None) -> Since:
    """The query argument ``changes-since``; raises BadRequest unless it is a recent moment."""
    text = call.query.get("changes-since")
    if text is None:
        return Since(None)
    try:
        # A plus sign in a query reads as a blank.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise BadRequest("changes-since must be an ISO 8601 time") from None
    if moment.tzinfo is None:
        raise BadRequest("changes-since must have a time zone")
    age = ((now or datetime.now(UTC)) - moment).total_seconds()
    if age < 0:
        raise BadRequest("changes-since lies in the future")
    if age > settings.poll_limit_seconds:
        raise BadRequest(f"changes-since is older than {settings.poll_limit_seconds} seconds")
    return Since(moment)
