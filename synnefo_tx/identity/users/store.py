"""SQL of users."""

from __future__ import annotations

from synnefo_tx.db.pool import Transaction
from synnefo_tx.identity.users.model import NewUser

INSERT = """
INSERT INTO users (uuid, email, username, first_name, last_name, password_hash, is_active, is_admin,
    groups, email_verified, moderated, default_project)
VALUES (%(uuid)s, %(email)s, %(username)s, %(first_name)s, %(last_name)s, %(password_hash)s,
    %(accepted)s, %(is_admin)s, %(groups)s, %(accepted)s, %(accepted)s, %(uuid)s)
"""


class UserStore:
    """Users within one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def insert(self, user: NewUser) -> None:
        """Make a user; raises UniqueViolation when the e-mail is taken."""
        await self._tx.run(
            INSERT,
            {
                "uuid": user.uuid,
                "email": user.email,
                "username": user.username,
                "first_name": user.first_name,
                "last_name": user.last_name,
                "password_hash": user.password_hash,
                "is_admin": user.is_admin,
                "groups": list(user.groups),
                "accepted": user.accepted,
            },
        )
