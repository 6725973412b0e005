"""When a session ends by itself, and when a cookie is believed (web-ui reference §3). Pure."""

from __future__ import annotations

from collections.abc import Collection

from synnefo_tx.caller import ADMIN_ROLE
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.settings import Identity

BROWSER_MAX_CHARACTERS = 200
NUMBER_DIGITS_MAX = 18
STAFF_ROLES = frozenset({ADMIN_ROLE, "helpdesk", "admin-readonly"})


def is_staff(roles: Collection[str]) -> bool:
    """Whether somebody sees or changes what is others' (the original's ADMIN_PERMITTED_GROUPS)."""
    return not STAFF_ROLES.isdisjoint(roles)


def limits_of(settings: Identity, roles: Collection[str]) -> tuple[int, int]:
    """For how many seconds a session holds while nobody uses it, and at all.

    Staff have less time; whoever becomes staff has it from then on.
    """
    if is_staff(roles):
        return settings.staff_idle_seconds, settings.staff_session_seconds
    return settings.session_idle_seconds, settings.session_seconds


def seconds_left(
    settings: Identity, roles: Collection[str], age_seconds: float, idle_seconds: float
) -> float:
    """For how long a session still holds if nobody uses it; 0 or less when it has ended."""
    idle_limit, life = limits_of(settings, roles)
    return min(idle_limit - idle_seconds, life - age_seconds)


READING = frozenset({"GET", "HEAD"})
FOREIGN_SITES = frozenset({"cross-site", "same-site"})


def is_ours(origin: str | None, origins: Collection[str]) -> bool:
    """Whether a request comes from one of our own pages, or from none."""
    return origin is None or origin in origins


def cookie_counts(
    method: str,
    origins: Collection[str],
    *,
    origin: str | None,
    fetch_site: str | None,
    from_ui: bool,
) -> bool:
    """Whether a request may act as the session of its cookie.

    Browsers send cookies with requests that others' pages make. (a) Reading is let pass unless the
    browser says (``Sec-Fetch-Site``) that another site asks; without TLS it does not say, and
    SameSite covers that. (b) All else needs ``X-Synnefo-UI: 1``, which another site's page cannot
    send because no CORS answer allows it, and no foreign ``Origin``.
    """
    if from_ui and is_ours(origin, origins):
        return True
    return method in READING and fetch_site not in FOREIGN_SITES


def sign_in_counts(origins: Collection[str], *, origin: str | None, fetch_site: str | None) -> bool:
    """Whether a sign-in comes from our own page: another's would sign a visitor in as somebody
    else."""
    return is_ours(origin, origins) and fetch_site not in FOREIGN_SITES


def number_of(text: str) -> int:
    """The number of a session as somebody names it; raises ItemNotFound for what can be none."""
    if not (text.isascii() and text.isdigit()) or len(text) > NUMBER_DIGITS_MAX:
        raise ItemNotFound(f"There is no session {text[:NUMBER_DIGITS_MAX]}")
    return int(text)


def browser_text(user_agent: str | None) -> str:
    """What is kept of a browser's name for itself: what can be seen of its beginning."""
    shown = "".join(each for each in user_agent or "" if each.isprintable())
    return shown[:BROWSER_MAX_CHARACTERS]
