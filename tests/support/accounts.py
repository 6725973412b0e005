"""The identity component on a test's database, with passwords that cost little."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

from argon2.profiles import CHEAPEST
from attrs import frozen
from twisted.internet import reactor as _reactor

from synnefo_tx.db.listener import Deaf, Hearing
from synnefo_tx.db.pool import Database
from synnefo_tx.identity.access.cache import AccessCache
from synnefo_tx.identity.access.changes import AccessChanges
from synnefo_tx.identity.sessions.operations import Sessions
from synnefo_tx.identity.tokens.failures import LoginFailures
from synnefo_tx.identity.tokens.logins import Logins
from synnefo_tx.identity.tokens.operations import Tokens
from synnefo_tx.identity.users.operations import Users
from synnefo_tx.identity.users.passwords import Passwords
from synnefo_tx.mail.model import NoCarrier
from synnefo_tx.mail.operations import Mails
from synnefo_tx.mail.templates import Templates
from synnefo_tx.settings import Identity, MailSettings
from synnefo_tx.threads import ThreadPools
from tests.support.keyring import fixed_keyring

TEMPLATES = Templates("", {"service": "Cloud", "url": "http://x", "support": ""})

reactor: Any = _reactor


class InPlace:
    """Runs what would run in a thread at once."""

    async def run(self, function):
        return function()


IN_PLACE = ThreadPools(InPlace(), InPlace(), InPlace(), InPlace())


@frozen
class Accounts:
    """Operations of identity that belong together."""

    tokens: Tokens
    passwords: Passwords
    users: Users
    logins: Logins
    sessions: Sessions


def accounts(
    database: Database, settings: Identity | None = None, hearing: Hearing | None = None
) -> Accounts:
    """The operations on a database; they remember something if there is somebody who hears."""
    settings = settings or Identity()
    access = AccessChanges(database, settings, hearing or Deaf(), reactor)
    cache = AccessCache(access, reactor, settings.tokens_kept_max)
    tokens = Tokens(database, settings, secrets.token_bytes, cache)
    passwords = Passwords(InPlace(), secrets.token_bytes, CHEAPEST)
    own = MailSettings()
    mails = Mails(database, fixed_keyring(), own, TEMPLATES, NoCarrier(), secrets.token_bytes)
    new_id = lambda: str(uuid.uuid4())  # noqa: E731
    users = Users(database, passwords, tokens, secrets.token_bytes, new_id, mails)
    logins = Logins(database, tokens, passwords, LoginFailures(database, settings))
    kept = AccessCache(access, reactor, settings.tokens_kept_max)
    sessions = Sessions(database, settings, secrets.token_bytes, logins, kept)
    return Accounts(tokens, passwords, users, logins, sessions)
