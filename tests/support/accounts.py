"""The identity component on a test's database, with passwords that cost little."""

from __future__ import annotations

import secrets
import uuid

from argon2.profiles import CHEAPEST
from attrs import frozen
from twisted.internet.task import Clock

from synnefo_tx.db.listener import Deaf
from synnefo_tx.db.pool import Database
from synnefo_tx.identity.access.cache import AccessCache
from synnefo_tx.identity.access.changes import AccessChanges
from synnefo_tx.identity.tokens.failures import LoginFailures
from synnefo_tx.identity.tokens.logins import Logins
from synnefo_tx.identity.tokens.operations import Tokens
from synnefo_tx.identity.users.operations import Users
from synnefo_tx.identity.users.passwords import Passwords
from synnefo_tx.settings import Identity


class InPlace:
    """Runs what would run in a thread at once."""

    async def run(self, function):
        return function()


@frozen
class Accounts:
    """Operations of identity that belong together."""

    tokens: Tokens
    passwords: Passwords
    users: Users
    logins: Logins


def no_cache(database: Database) -> AccessCache:
    """A cache that never relies on what it kept, because it hears nothing."""
    return AccessCache(AccessChanges(database, Identity(), Deaf(), Clock()), Clock(), 0)


def accounts(database: Database, settings: Identity | None = None) -> Accounts:
    """The operations on a database."""
    settings = settings or Identity()
    tokens = Tokens(database, settings, secrets.token_bytes, no_cache(database))
    passwords = Passwords(InPlace(), secrets.token_bytes, CHEAPEST)
    users = Users(database, passwords, tokens, secrets.token_bytes, lambda: str(uuid.uuid4()))
    logins = Logins(database, tokens, passwords, LoginFailures(database, settings))
    return Accounts(tokens, passwords, users, logins)
