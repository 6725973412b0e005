"""Use cases of API tokens.

A token, its user and their projects are read by one index, and kept while every change would be
heard: a revoked token, a disabled user and a removed membership take effect within a second in
every process.
"""

from __future__ import annotations

from datetime import datetime

from synnefo_tx.caller import Caller
from synnefo_tx.db.pool import Database, Transaction
from synnefo_tx.faults import Unauthorized
from synnefo_tx.identity.access.cache import AccessCache
from synnefo_tx.identity.access.model import Access
from synnefo_tx.identity.secret import Entropy, digest, new_token
from synnefo_tx.identity.tokens.model import IssuedToken
from synnefo_tx.identity.tokens.store import SELECT_ACCESS, TokenStore, access_from_row
from synnefo_tx.settings import Identity

SWEEP_MAX = 1000


class Tokens:
    """Authenticates by token, gives tokens out and takes them back."""

    def __init__(
        self, database: Database, settings: Identity, entropy: Entropy, cache: AccessCache
    ) -> None:
        self._database = database
        self._settings = settings
        self._entropy = entropy
        self._cache = cache

    async def authenticate(self, token: str) -> Caller:
        """The user of a token; raises Unauthorized."""
        return (await self.examine(token)).caller

    async def examine(self, token: str) -> Access:
        """The user of a token and the token's dates; raises Unauthorized."""
        sha256 = digest(token)
        kept = self._cache.get(sha256)
        if kept is not None:
            return kept
        changes = self._cache.changes
        rows = await self._database.read(SELECT_ACCESS, {"sha256": sha256})
        if not rows:
            raise Unauthorized("Invalid token")
        access, life_seconds, active = access_from_row(rows[0])
        if not active:
            raise Unauthorized("Invalid user")
        if life_seconds <= 0:
            raise Unauthorized("Authentication token expired")
        self._cache.put(sha256, access, life_seconds, changes)
        return access

    async def issue(
        self,
        tx: Transaction,
        user: str,
        name: str,
        expires: datetime | None = None,
        *,
        parent: int | None = None,
        project: str | None = None,
    ) -> IssuedToken:
        """Make a token, by default for the hours of the settings.

        One that was got with another (``parent``, its id) ends with that one at the latest;
        ``project`` takes the place of the user's default project. Raises Unauthorized when the
        other is gone.
        """
        secret = new_token(self._entropy)
        stored = await TokenStore(tx).insert(
            user,
            name,
            digest(secret),
            hours=self._settings.token_hours,
            expires=expires,
            parent=parent,
            project=project,
        )
        if stored is None:
            raise Unauthorized("Invalid token")
        id_, created, ends = stored
        return IssuedToken(id=id_, secret=secret, created=created, expires=ends)

    async def revoke(self, tx: Transaction, user: str, id: int) -> bool:
        """End a token of a user and all that was got with it; False when there is none."""
        return await TokenStore(tx).delete(user, id)

    async def revoke_all(self, tx: Transaction, user: str) -> int:
        """End all tokens of a user; how many."""
        return await TokenStore(tx).delete_all(user)

    async def renew(self, tx: Transaction, user: str, name: str = "default") -> IssuedToken:
        """End all tokens of a user and make one new."""
        await self.revoke_all(tx, user)
        return await self.issue(tx, user, name)

    async def sweep(self, tx: Transaction) -> int:
        """Delete tokens that have expired; how many."""
        return await TokenStore(tx).delete_expired(SWEEP_MAX)
