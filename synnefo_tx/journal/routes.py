"""HTTP of the journal (web-ui reference §4)."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from synnefo_tx.faults import BadRequest
from synnefo_tx.journal import wire
from synnefo_tx.journal.model import Scope
from synnefo_tx.journal.operations import PAGE_MAX, Journal
from synnefo_tx.rest.endpoint import Call, endpoint

DIGITS_MAX = 18
PROJECT_MAX = 64


@frozen
class ActivityRoutes:
    """``/ui/activity``."""

    journal: Journal

    @endpoint("GET", "/activity", action="ui:activity:list")
    async def activity(self, call: Call[None]) -> dict[str, Any]:
        """List who did what to the caller's things, when, and what came of it."""
        server, project = call.query.get("server"), call.query.get("project")
        if project is not None and not 0 < len(project) <= PROJECT_MAX:
            raise BadRequest("project must be the uuid of a project")
        scope = Scope(
            kind="server" if server is not None else None,
            object=None if server is None else str(_number("server", server)),
            project=project,
            before=_number("before", call.query["before"]) if "before" in call.query else None,
        )
        entries = await self.journal.page(call.caller, scope)
        return wire.page(entries, call.caller.user, PAGE_MAX)


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):
        raise BadRequest(f"{name} must be a number")
    return int(text)
