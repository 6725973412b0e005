"""SQL of who somebody is: for tokens, for sessions, and for those who are let in already."""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from attrs import frozen

from synnefo_tx.caller import ADMIN_ROLE, Caller
from synnefo_tx.db.pool import Database, Row
from synnefo_tx.identity.access.model import Standing
from synnefo_tx.identity.sessions.rules import seconds_left
from synnefo_tx.settings import Identity

# Of users u; ``scope`` is the project in which they act by default.
WHO = """
    u.is_active, u.uuid, u.email, u.username, u.first_name, u.last_name, u.is_admin, u.groups,
    scope.uuid::text, scope.realname,
    ARRAY (
        SELECT p.uuid::text FROM project_members m JOIN projects p ON p.uuid = m.project
        WHERE m.member = u.uuid AND m.state IN ('accepted', 'leave_requested')
        AND p.state = 'active' ORDER BY p.id
    )
"""
OF_TOKENS = """
FROM api_tokens t JOIN users u ON u.uuid = t.user_uuid
LEFT JOIN projects scope ON scope.uuid = coalesce(t.project, u.default_project)
"""
OF_SESSIONS = """
FROM sessions s JOIN users u ON u.uuid = s.user_uuid
LEFT JOIN projects scope ON scope.uuid = u.default_project
"""
TOKEN_LIFE = "extract(epoch FROM t.expires - synnefo_now())::float8"  # noqa: S105 (SQL)
SESSION_AGES = """
    extract(epoch FROM synnefo_now() - s.created)::float8,
    extract(epoch FROM synnefo_now() - s.last_used)::float8
"""
SELECT_STANDING = f"""
SELECT 'token', t.id, {TOKEN_LIFE}, 0::float8, {WHO} {OF_TOKENS}
WHERE t.id = ANY (%(tokens)s::bigint[])
UNION ALL
SELECT 'session', s.id, {SESSION_AGES}, {WHO} {OF_SESSIONS}
WHERE s.id = ANY (%(sessions)s::bigint[])
UNION ALL
SELECT '', 0, 0::float8, 0::float8, {WHO}
FROM users u LEFT JOIN projects scope ON scope.uuid = u.default_project
WHERE u.uuid = ANY (%(users)s::uuid[])
"""

INACTIVE = "the user is not active"
TOKEN_ENDED = "the token that asked for it has ended"  # noqa: S105 (a text for people)
SESSION_ENDED = "the session that asked for it has ended"


@frozen
class Who:
    """A user as the columns of WHO tell."""

    is_active: bool
    caller: Caller
    username: str
    default_project_name: str


def who_from_row(row: Row, *, token_id: int = 0, session_id: int = 0) -> Who:
    """The user of the columns of WHO, and what they were let in by."""
    active, uuid, email, username, first, last, admin, groups = row[:8]
    default_project, project_name, projects = row[8:]
    caller = Caller(
        user=uuid,
        email=email,
        name=f"{first} {last}".strip(),
        roles=frozenset([*groups, *([ADMIN_ROLE] if admin else [])]),
        projects=tuple(projects),
        default_project=default_project or "",
        token_id=token_id,
        session_id=session_id,
    )
    return Who(active, caller, username, project_name or "")


def means_of(caller: Caller) -> tuple[str, str, int]:
    """What tells one who was let in from another: the user, and by what."""
    if caller.session_id:
        return caller.user, "session", caller.session_id
    return caller.user, "token" if caller.token_id else "", caller.token_id


async def read_standing(
    database: Database, settings: Identity, callers: Collection[Caller]
) -> list[Standing | str]:
    """What each caller still is, or why they are let in no more."""
    means = [means_of(each) for each in callers]
    asked = {
        "tokens": sorted({id for _, kind, id in means if kind == "token"}),
        "sessions": sorted({id for _, kind, id in means if kind == "session"}),
        "users": sorted({user for user, kind, _ in means if not kind}),
    }
    rows = await database.read(SELECT_STANDING, asked)
    found = {(row[5], row[0], row[1]): row for row in rows}
    return [_standing(settings, kind, found.get((user, kind, id))) for user, kind, id in means]


def _standing(settings: Identity, kind: str, row: Row | None) -> Standing | str:
    ended = {"token": TOKEN_ENDED, "session": SESSION_ENDED, "": INACTIVE}[kind]
    if row is None:
        return ended
    _, id, first, second = row[:4]
    who = who_from_row(
        row[4:],
        token_id=id if kind == "token" else 0,
        session_id=id if kind == "session" else 0,
    )
    if not who.is_active:
        return INACTIVE
    life = first if kind == "token" else inf
    if kind == "session":
        life = seconds_left(settings, who.caller.roles, first, second)
    return ended if life <= 0 else Standing(who.caller, life)
