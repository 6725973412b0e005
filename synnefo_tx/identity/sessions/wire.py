"""JSON of sessions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from synnefo_tx.identity.access.model import Access
from synnefo_tx.identity.sessions.model import Session
from synnefo_tx.identity.sessions.rules import is_staff


@frozen
class SignIn:
    """Body of POST /ui/session, as JSON or as a form."""

    email: str
    password: str = field(repr=False)


def iso(moment: datetime) -> str:
    """A time in UTC."""
    return moment.astimezone(UTC).isoformat()


def signed_in_document(access: Access) -> dict[str, Any]:
    """Who has signed in, and until when if nothing is asked meanwhile."""
    caller = access.caller
    return {
        "session": {
            "id": caller.session_id,
            "created": iso(access.created),
            "expires": iso(access.expires),
        },
        "user": {
            "id": caller.user,
            "email": caller.email,
            "name": caller.name,
            "roles": sorted(caller.roles),
            "staff": is_staff(caller.roles),
        },
    }


def session_document(session: Session, current: int) -> dict[str, Any]:
    """A session; ``current`` is the number of the one that asks."""
    return {
        "id": session.id,
        "created": iso(session.created),
        "last_used": iso(session.last_used),
        "address": session.address,
        "browser": session.browser,
        "current": session.id == current,
    }
