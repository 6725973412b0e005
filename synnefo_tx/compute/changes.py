"""``changes-since``: polling for what changed, removals included (compute-api reference §1).

The ``Date`` of a list is what the next poll names, and therefore the commit horizon of the list
(``db.horizon``): what is committed after it, however late, is changed since then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from twisted.web.http import datetimeToString

from synnefo_tx.faults import BadRequest, NotModified
from synnefo_tx.rest.endpoint import Call, Reply
from synnefo_tx.settings import Compute

EVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Since when listings of changes hold everything, what is deleted too."""
SKEW_MAX_SECONDS = 30.0
"""How far the database's clock, of which ``Date`` tells, may be ahead of this machine's."""


def changes_since(
    call: Call[Any], settings: Compute, now: datetime | None = None
) -> datetime | None:
    """The query argument ``changes-since``, None without; raises BadRequest unless it is a recent
    moment."""
    text = call.query.get("changes-since")
    if text is None:
        return None
    try:
        # A plus sign in a query reads as a blank.
        moment = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise BadRequest("changes-since must be an ISO 8601 time") from None
    if moment.tzinfo is None:
        raise BadRequest("changes-since must have a time zone")
    age = ((now or datetime.now(UTC)) - moment).total_seconds()
    if age < -SKEW_MAX_SECONDS:
        raise BadRequest("changes-since lies in the future")
    if age > settings.poll_limit_seconds:
        raise BadRequest(f"changes-since is older than {settings.poll_limit_seconds} seconds")
    return moment


def at_horizon(horizon: datetime | None, body: Any) -> Reply:
    """A list with the moment of its horizon."""
    return Reply(body, headers={} if horizon is None else _date(horizon))


def nothing_since(horizon: datetime) -> NotModified:
    """What a poller is told who would learn nothing."""
    return NotModified(headers=_date(horizon))


def listed(key: str, found: Sequence[Any], since: datetime | None, horizon: datetime) -> Reply:
    """Documents below ``key``; raises NotModified when a poller would learn nothing."""
    if since is not None and not found:
        raise nothing_since(horizon)
    return at_horizon(horizon, {key: found})


def _date(horizon: datetime) -> dict[str, str]:
    # Whole seconds, rounded down.
    return {"Date": datetimeToString(horizon.timestamp()).decode()}
