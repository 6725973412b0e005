"""When a session ends by itself, and when a cookie is believed (web-ui reference §3). Pure."""

from __future__ import annotations

from collections.abc import Collection

from synnefo_tx.caller import ADMIN_ROLE
from synnefo_tx.settings import Identity

STAFF_ROLES = frozenset({ADMIN_ROLE, "helpdesk", "admin-readonly"})


def is_staff(roles: Collection[str]) -> bool:
    """Whether somebody sees or changes what is others' (the original's ADMIN_PERMITTED_GROUPS)."""
    return not STAFF_ROLES.isdisjoint(roles)


def seconds_left(
    settings: Identity, roles: Collection[str], age_seconds: float, idle_seconds: float
) -> float:
    """For how long a session still holds if nobody uses it; 0 or less when it has ended.

    Staff have less time; whoever becomes staff has it from then on.
    """
    if is_staff(roles):
        idle_limit, life = settings.staff_idle_seconds, settings.staff_session_seconds
    else:
        idle_limit, life = settings.session_idle_seconds, settings.session_seconds
    return min(idle_limit - idle_seconds, life - age_seconds)
