"""What leaders tell all processes of their work: one row each, beside the election."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from synnefo_tx.db.fence import current_term
from synnefo_tx.db.pool import Database, Json

REPORT = """
UPDATE elections SET told = synnefo_now(), report = %(report)s WHERE name = %(name)s
"""
LEADERS = """
SELECT name, epoch, holder, since, extract(epoch FROM synnefo_now() - told)::float8, report
FROM elections ORDER BY name
"""


@frozen
class Leader:
    """Who leads a name, and what was last told of the work; ``told_seconds`` is that one's age."""

    name: str
    epoch: int
    holder: str
    since: datetime
    told_seconds: float | None
    report: Mapping[str, Any]


async def report(database: Database, content: Mapping[str, Any]) -> None:
    """Tell how the running leader's work goes; nothing is told outside elections."""
    term = current_term.get()
    if term is not None:
        async with database.transaction("leader-report") as tx:
            await tx.run(REPORT, {"name": term.name, "report": Json(dict(content))})


async def leaders(database: Database) -> list[Leader]:
    """All elections there were, by name."""
    return [Leader(*row) for row in await database.read(LEADERS)]
