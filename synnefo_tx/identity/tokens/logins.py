"""Logging in: a password or a token for a new token, a password for a session.

An unknown user, a wrong password and a disabled user get the same answer after the same work
(ASVS 6.3.8, CVE-2021-38155). Failures are counted before and after the password is verified, so
that many guesses at once are honoured no more often than as many in a row; who hangs up before the
answer has made a guess all the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from synnefo_tx.db.pool import Database, ForeignKeyViolation, Transaction, shield
from synnefo_tx.faults import ServiceUnavailable, TooManyRequests, Unauthorized
from synnefo_tx.identity.projects.store import ProjectStore
from synnefo_tx.identity.secret import digest
from synnefo_tx.identity.tokens.failures import Attempt, LoginFailures
from synnefo_tx.identity.tokens.model import IssuedToken, LoggedIn, LoginName, Scope
from synnefo_tx.identity.tokens.operations import Tokens
from synnefo_tx.identity.tokens.store import TokenStore
from synnefo_tx.identity.users.model import Credentials
from synnefo_tx.identity.users.passwords import Passwords
from synnefo_tx.identity.users.store import SELECT_CREDENTIALS, UserStore
from synnefo_tx.journal.acting import acting
from synnefo_tx.journal.model import DONE
from synnefo_tx.journal.record import record
from synnefo_tx.rest.address import counted_as

T = TypeVar("T")
TOKEN_CREATE = "identity:token:create"  # noqa: S105 (what the journal calls it)
TOKEN_NAME = "log-in"  # noqa: S105 (what such tokens are called)


@frozen
class Logins:
    """Lets in who knows a password, and gives new tokens."""

    database: Database
    tokens: Tokens
    passwords: Passwords
    failures: LoginFailures

    log = Logger()

    async def by_password(
        self, name: LoginName, password: str, remote: str, scope: Scope
    ) -> LoggedIn:
        """A new token for a password; raises what ``verified`` raises."""

        async def issue(tx: Transaction, user: str) -> str | Unauthorized:
            try:
                project = await self._project(tx, user, scope)
            except Unauthorized as refusal:
                return refusal
            return (await self._issue(tx, user, project)).secret

        secret = await self.verified(name, password, remote, issue)
        return LoggedIn(secret, await self.tokens.examine(secret), not scope.unscoped)

    async def verified(
        self,
        name: LoginName,
        password: str,
        remote: str,
        let_in: Callable[[Transaction, str], Awaitable[T | Unauthorized]],
        action: str = TOKEN_CREATE,
    ) -> T:
        """What ``let_in(tx, user)`` gives to who knows the user's password, at once with the note
        that they do; ``action`` is its name in the journal. A refusal that it gives is raised after
        the note: a password that was right is never tried without a trace.

        Raises Unauthorized, TooManyRequests after too many failures, RequestEntityTooLarge for an
        endless password, ServiceUnavailable when too many log in at once.
        """
        found, spelled = await self._find(name)
        attempt = Attempt(digest(found.uuid if found else spelled), counted_as(remote))
        if await self.failures.too_many(attempt):
            raise self._too_many()
        # Work has begun: it is counted also when nobody waits for the answer any more.
        judging = self._judged(found, password, attempt, let_in, action)
        result = await shield(Deferred.fromCoroutine(judging))
        if found is not None:
            await self._rehash(found, password)
        if isinstance(result, Unauthorized):
            raise result
        return result

    async def _judged(
        self,
        found: Credentials | None,
        password: str,
        attempt: Attempt,
        let_in: Callable[[Transaction, str], Awaitable[T | Unauthorized]],
        action: str,
    ) -> T | Unauthorized:
        right = await self.passwords.verify(found.password_hash if found else None, password)
        async with self.database.transaction("log-in") as tx:
            too_many = await self.failures.lock_and_ask(tx, attempt)
            if found and right and not too_many and await UserStore(tx).still(found):
                await self.failures.forgive(tx, attempt)
                await UserStore(tx).set_last_login(found.uuid)
                outcome = await let_in(tx, found.uuid)
                refused = isinstance(outcome, Unauthorized)
                told = ("password was right", "refused") if refused else ("password", DONE)
                await _journaled(tx, action, found.uuid, *told)
                tx.after_commit(
                    partial(self.log.info, "log-in", user=found.uuid, address=attempt.address)
                )
                return outcome
            if not too_many:
                await self.failures.note(tx, attempt)
                await _journaled(tx, action, found.uuid if found else "", "password", "refused")
        if too_many:
            raise self._too_many()
        self.log.info("log-in refused", address=attempt.address)
        raise Unauthorized("Wrong user or password")

    async def by_token(self, token: str, scope: Scope) -> LoggedIn:
        """A new token for a token, which it does not outlive; raises Unauthorized."""
        caller = (await self.tokens.examine(token)).caller
        try:
            async with self.database.transaction("log-in") as tx:
                project = await self._project(tx, caller.user, scope)
                issued = await self._issue(tx, caller.user, project, caller.token_id)
                await _journaled(tx, TOKEN_CREATE, caller.user, "token")
        except ForeignKeyViolation:
            # The token was revoked, or its user removed, between the look and the new token.
            raise Unauthorized("Invalid token") from None
        return LoggedIn(issued.secret, await self.tokens.examine(issued.secret), not scope.unscoped)

    async def _find(self, name: LoginName) -> tuple[Credentials | None, str]:
        """Who has a name, and the name as users are found by it: two spellings that would count as
        one for nobody and as two for somebody would tell who is here."""
        asked = {"uuid": name.uuid, "email": name.email}
        ((uuid, password_hash, spelled),) = await self.database.read(SELECT_CREDENTIALS, asked)
        return None if uuid is None else Credentials(uuid, password_hash), spelled

    async def _rehash(self, credentials: Credentials, password: str) -> None:
        """Hash a password that was right with today's parameters, if it was not; after the log-in,
        so that a guess takes as long whether it is right or not. What fails is left to the next."""
        stored = credentials.password_hash
        if stored is None or not self.passwords.outdated(stored):
            return
        try:
            fresh = await self.passwords.hash(password)
            async with self.database.transaction("log-in-rehash") as tx:
                await UserStore(tx).replace_password(credentials, fresh)
        except ServiceUnavailable as error:
            self.log.warn("a password was not hashed anew: {error}", error=str(error))

    async def _issue(
        self, tx: Transaction, user: str, project: str | None, parent: int | None = None
    ) -> IssuedToken:
        """A token of a log-in; the oldest ends for it when the user has as many as may be."""
        issued = await self.tokens.issue(tx, user, TOKEN_NAME, parent=parent, project=project)
        kept_max = max(1, self.failures.settings.login_tokens_per_user_max)
        await TokenStore(tx).delete_surplus(user, TOKEN_NAME, kept_max)
        return issued

    async def _project(self, tx: Transaction, user: str, scope: Scope) -> str | None:
        """The project that a token is asked for, if it is one in which the user may act."""
        if scope.project_id is None and scope.project_name is None:
            return None
        project = await ProjectStore(tx).find_active(user, scope.project_id, scope.project_name)
        if project is None:
            raise Unauthorized("There is no such project of yours")
        return project

    def _too_many(self) -> TooManyRequests:
        seconds = self.failures.settings.login_window_seconds
        return TooManyRequests(
            "Too many failed log-ins: try again later", headers={"Retry-After": str(seconds)}
        )


async def _journaled(
    tx: Transaction, action: str, user: str, method: str, result: str = DONE
) -> None:
    """Write a log-in, or one that was refused; what was typed as a name may be a password."""
    who = evolve(acting.get(), name=user if result == DONE else "")
    await record(
        tx,
        action,
        "user",
        user,
        owner=user,
        details=method,
        actor=who,
        result=result,
    )
