"""Failed log-ins: rows that every process sees, and when there are too many of them.

An account is never locked as such, or anybody could lock anybody out: what is counted is failures
of an account from one address, and of one address.
"""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.db.pool import Database, Transaction
from synnefo_tx.settings import Identity

SWEEP_MAX = 10_000

COUNT = """
SELECT count(*) FILTER (WHERE account = %(account)s), count(*) FROM login_failures
WHERE address = %(address)s AND failed > synnefo_now() - %(window)s * interval '1 second'
"""
LOCK_ADDRESS = "SELECT pg_advisory_xact_lock(hashtextextended('log-in ' || %(address)s, 0))"
INSERT = "INSERT INTO login_failures (account, address) VALUES (%(account)s, %(address)s)"
DELETE = "DELETE FROM login_failures WHERE account = %(account)s AND address = %(address)s"
DELETE_OLD = """
DELETE FROM login_failures WHERE id IN (
    SELECT id FROM login_failures
    WHERE failed <= synnefo_now() - %(window)s * interval '1 second'
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
"""


@frozen
class Attempt:
    """Who is said to log in (a digest) and from where."""

    account: bytes
    address: str


@frozen
class LoginFailures:
    """Counts failed log-ins."""

    database: Database
    settings: Identity

    def _parameters(self, attempt: Attempt) -> dict[str, object]:
        window = self.settings.login_window_seconds
        return {"account": attempt.account, "address": attempt.address, "window": window}

    def _too_many(self, account_failures: int, address_failures: int) -> bool:
        return (
            account_failures >= self.settings.login_failures_max
            or address_failures >= self.settings.address_failures_max
        )

    async def too_many(self, attempt: Attempt) -> bool:
        """Whether the attempt must not be made now."""
        (counts,) = await self.database.read(COUNT, self._parameters(attempt))
        return self._too_many(*counts)

    async def lock_and_ask(self, tx: Transaction, attempt: Attempt) -> bool:
        """The same, with other attempts from that address waiting until ``tx`` ends."""
        await tx.run(LOCK_ADDRESS, {"address": attempt.address})
        counts = await tx.row(COUNT, self._parameters(attempt))
        return counts is not None and self._too_many(*counts)

    async def note(self, tx: Transaction, attempt: Attempt) -> None:
        """Count a failure."""
        await tx.run(INSERT, self._parameters(attempt))

    async def forgive(self, tx: Transaction, attempt: Attempt) -> None:
        """Forget the account's failures from that address, after a success."""
        await tx.run(DELETE, self._parameters(attempt))

    async def sweep(self, tx: Transaction) -> int:
        """Delete failures that count no more; how many."""
        window = self.settings.login_window_seconds
        return await tx.run(DELETE_OLD, {"window": window, "limit": SWEEP_MAX})
