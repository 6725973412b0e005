"""Use cases of sessions: a browser signs in, is known by its cookie, and is signed out.

A session's value is new at each sign-in, and ends the one that the browser had (ASVS 7.2.4). When
it was used last is written once a minute at most. It ends by itself when it was idle or there for
too long, and at once with its user or the user's password.
"""

from __future__ import annotations

from datetime import timedelta

from attrs import field, frozen
from twisted.logger import Logger

from synnefo_tx.caller import Caller
from synnefo_tx.db.pool import Database, DatabaseError, Transaction
from synnefo_tx.faults import ItemNotFound, ServiceUnavailable, Unauthorized
from synnefo_tx.identity.access.cache import AccessCache
from synnefo_tx.identity.access.model import Access
from synnefo_tx.identity.access.store import who_from_row
from synnefo_tx.identity.secret import Entropy, digest, new_token
from synnefo_tx.identity.sessions.model import Session, SignedIn, Visitor
from synnefo_tx.identity.sessions.rules import limits_of, seconds_left
from synnefo_tx.identity.sessions.store import (
    SELECT_ACCESS,
    SELECT_ALL,
    SELECT_LIVE,
    SessionStore,
    session_from_row,
)
from synnefo_tx.identity.tokens.logins import Logins
from synnefo_tx.identity.tokens.model import LoginName
from synnefo_tx.journal.record import record
from synnefo_tx.settings import Identity

SESSION_CREATE = "identity:session:create"
SESSION_END = "identity:session:end"
USE_NOTED_SECONDS = 60.0
SWEEP_MAX = 1000


@frozen
class Sessions:
    """Signs browsers in and out, and knows them by the value of their cookie."""

    database: Database
    settings: Identity
    entropy: Entropy
    logins: Logins
    cache: AccessCache = field(repr=False)

    log = Logger()

    async def sign_in(self, email: str, password: str, visitor: Visitor) -> SignedIn:
        """A new session for a password; raises what ``Logins.verified`` raises."""
        value = new_token(self.entropy)

        async def begin(tx: Transaction, user: str) -> None:
            await self.begin(tx, user, value, visitor)

        await self.logins.verified(
            LoginName(email=email), password, visitor.address, begin, SESSION_CREATE
        )
        access = await self.examine(value)
        if access is None:
            raise Unauthorized("Wrong user or password")  # disabled at this very moment
        return SignedIn(value, access)

    async def begin(self, tx: Transaction, user: str, value: str, visitor: Visitor) -> None:
        """Store a session with its value; the visitor's old one ends, and those beyond the most
        that a user may have."""
        store = SessionStore(tx)
        if visitor.value is not None:
            await store.delete_value(digest(visitor.value))
        await store.insert(user, digest(value), visitor)
        await store.delete_surplus(user, self.settings.sessions_per_user_max)

    async def examine(self, value: str) -> Access | None:
        """Who is signed in with a cookie's value; None when it is no session's (any more)."""
        sha256 = digest(value)
        kept = self.cache.get(sha256)
        if kept is not None:
            return kept
        changes = self.cache.changes
        rows = await self.database.read(SELECT_ACCESS, {"sha256": sha256})
        if not rows:
            return None
        id, created, now, age_seconds, idle_seconds = rows[0][:5]
        who = who_from_row(rows[0][5:], session_id=id)
        left = seconds_left(self.settings, who.caller.roles, age_seconds, idle_seconds)
        if left <= 0 or not who.is_active:
            return None
        noted = USE_NOTED_SECONDS - idle_seconds
        if noted <= 0:
            noted = await self._touch(id)
            left = seconds_left(self.settings, who.caller.roles, age_seconds, 0)
        ends = now + timedelta(seconds=left)
        access = Access(who.caller, who.username, created, ends, who.default_project_name)
        self.cache.put(sha256, access, min(left, noted), changes)
        return access

    async def _touch(self, id: int) -> float:
        """Note the use of a session; for how many seconds that holds."""
        try:
            async with self.database.transaction("session-used") as tx:
                await SessionStore(tx).touch(id, USE_NOTED_SECONDS)
        except (ServiceUnavailable, DatabaseError) as error:
            # A database that can only be read, or has no room left, serves who reads.
            self.log.warn("the use of a session was not noted: {error}", error=str(error))
            return 0.0
        return USE_NOTED_SECONDS

    async def list_of(self, caller: Caller) -> list[Session]:
        """The sessions in which a user is signed in now, the last used first."""
        idle, life = limits_of(self.settings, caller.roles)
        wanted = {"user": caller.user, "idle": idle, "life": life}
        return [session_from_row(row) for row in await self.database.read(SELECT_LIVE, wanted)]

    async def list_all(self) -> list[Session]:
        """The sessions of everybody, the last used first; with those that have ended by themselves
        and are not swept yet."""
        return [session_from_row(row) for row in await self.database.read(SELECT_ALL)]

    async def end(self, id: int, user: str | None = None) -> None:
        """End a session, of ``user`` if that is said; raises ItemNotFound."""
        async with self.database.transaction("session-end") as tx:
            owner = await SessionStore(tx).delete(id, user)
            if owner is None:
                raise ItemNotFound(f"There is no session {id}")
            await record(tx, SESSION_END, "session", id, owner=owner)

    async def end_all(self, user: str) -> int:
        """End all sessions of a user; how many."""
        async with self.database.transaction("sessions-end") as tx:
            count = await SessionStore(tx).delete_all(user)
            await record(tx, SESSION_END, "session", owner=user, details=f"all {count}")
        return count

    async def sweep(self, tx: Transaction) -> int:
        """Delete sessions that have ended; how many."""
        own = self.settings
        return await SessionStore(tx).delete_expired(
            idle_seconds=max(own.session_idle_seconds, own.staff_idle_seconds),
            life_seconds=max(own.session_seconds, own.staff_session_seconds),
            limit=SWEEP_MAX,
        )
