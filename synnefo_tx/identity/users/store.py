"""SQL of users."""

from __future__ import annotations

from typing import Any

from attrs import asdict

from synnefo_tx.db.pool import Row, Transaction
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.identity.model import is_uuid
from synnefo_tx.identity.users.model import Credentials, NewUser, User

INSERT = """
INSERT INTO users (uuid, email, username, first_name, last_name, password_hash, is_active, is_admin,
    groups, email_verified, moderated, default_project)
VALUES (%(uuid)s, %(email)s, lower(%(email)s), %(first_name)s, %(last_name)s, %(password_hash)s,
    %(accepted)s, %(is_admin)s, %(groups)s, %(accepted)s, %(accepted)s, %(uuid)s)
"""
SELECT = """
SELECT id, uuid, email, username, first_name, last_name, is_active, is_admin, groups,
    email_verified, moderated, is_rejected, rejected_reason, deactivated_reason, default_project,
    date_joined, updated, last_login,
    (SELECT max(expires) FROM api_tokens t WHERE t.user_uuid = users.uuid)
FROM users
"""
SELECT_ALL = SELECT + "ORDER BY id"
SELECT_NAMED = SELECT + "WHERE id = %(id)s OR uuid = %(uuid)s OR username = lower(%(email)s)"
LOCK_NAMED = SELECT_NAMED + " FOR NO KEY UPDATE OF users"
SELECT_PROJECTS = """
SELECT p.uuid::text FROM project_members m JOIN projects p ON p.uuid = m.project
WHERE m.member = %(uuid)s AND m.state IN ('accepted', 'leave_requested') AND p.state = 'active'
ORDER BY p.id
"""
# One row, also for a name that nobody has, with the name in the spelling in which it is compared.
SELECT_CREDENTIALS = """
SELECT u.uuid, u.password_hash, coalesce(%(uuid)s::text, lower(%(email)s::text))
FROM (SELECT) AS asked LEFT JOIN users u
ON u.uuid = %(uuid)s::uuid OR u.username = lower(%(email)s::text)
"""
STILL = """
SELECT is_active AND password_hash = %(password_hash)s FROM users WHERE uuid = %(uuid)s
FOR NO KEY UPDATE
"""
UPDATE = """
UPDATE users SET email = %(email)s, username = lower(%(email)s), is_active = %(is_active)s,
    is_admin = %(is_admin)s, groups = %(groups)s, email_verified = %(email_verified)s,
    moderated = %(moderated)s, is_rejected = %(is_rejected)s,
    rejected_reason = %(rejected_reason)s, deactivated_reason = %(deactivated_reason)s,
    default_project = %(default_project)s,
    updated = synnefo_now()
WHERE uuid = %(uuid)s
"""
UPDATE_HASH = """
UPDATE users SET password_hash = %(password_hash)s, updated = synnefo_now() WHERE uuid = %(uuid)s
"""
REPLACE_HASH = """
UPDATE users SET password_hash = %(fresh)s, updated = synnefo_now()
WHERE uuid = %(uuid)s AND password_hash = %(password_hash)s
"""
DELETE = "DELETE FROM users WHERE uuid = %(uuid)s"
SET_LAST_LOGIN = "UPDATE users SET last_login = synnefo_now() WHERE uuid = %(uuid)s"


def named(identifier: str) -> dict[str, Any]:
    """Parameters that find a user by id, uuid or e-mail, whichever the text is."""
    is_id = identifier.isascii() and identifier.isdigit() and len(identifier) < 18
    by_uuid = is_uuid(identifier.lower())
    return {
        "id": int(identifier) if is_id else None,
        "uuid": identifier.lower() if by_uuid else None,
        "email": None if is_id or by_uuid else identifier,
    }


def user_from_row(row: Row) -> User:
    """A user of the columns of SELECT."""
    columns = list(row)
    columns[8] = tuple(columns[8])
    return User(*columns)


class UserStore:
    """Users within one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def insert(self, user: NewUser) -> None:
        """Make a user; raises UniqueViolation when the e-mail is taken."""
        await self._tx.run(INSERT, asdict(user) | {"groups": list(user.groups)})

    async def lock(self, identifier: str) -> User:
        """A user by id, uuid or e-mail, locked; raises ItemNotFound."""
        row = await self._tx.row(LOCK_NAMED, named(identifier))
        if row is None:
            raise no_such_user(identifier)
        return user_from_row(row)

    async def uuid_of(self, identifier: str) -> str:
        """The uuid of a user by id, uuid or e-mail, not locked; raises ItemNotFound."""
        row = await self._tx.row(SELECT_NAMED, named(identifier))
        if row is None:
            raise no_such_user(identifier)
        return user_from_row(row).uuid

    async def update(self, user: User) -> None:
        """Store state, e-mail and groups; raises UniqueViolation when the e-mail is taken."""
        await self._tx.run(UPDATE, asdict(user) | {"groups": list(user.groups)})

    async def delete(self, uuid: str) -> None:
        """Remove a user who owns nothing any more, with tokens and memberships."""
        await self._tx.run(DELETE, {"uuid": uuid})

    async def still(self, credentials: Credentials) -> bool:
        """Whether the user is active and has that password; locks the user."""
        return bool(await self._tx.value(STILL, asdict(credentials)))

    async def set_password(self, uuid: str, password_hash: str) -> None:
        """Store the hash of a new password."""
        await self._tx.run(UPDATE_HASH, {"uuid": uuid, "password_hash": password_hash})

    async def replace_password(self, credentials: Credentials, fresh: str) -> None:
        """Store another hash of the password, unless the user has a new password meanwhile."""
        await self._tx.run(REPLACE_HASH, asdict(credentials) | {"fresh": fresh})

    async def set_last_login(self, uuid: str) -> None:
        """Note that the user logged in."""
        await self._tx.run(SET_LAST_LOGIN, {"uuid": uuid})


def no_such_user(identifier: str) -> ItemNotFound:
    """The fault for a user that is not there."""
    return ItemNotFound(f"There is no user {identifier}")
