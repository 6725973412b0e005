"""A transaction as operations see it, how one fails, and the bounds of a pool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from synnefo_tx.db.driver import Parameters, Result, Row
from synnefo_tx.faults import ServiceUnavailable

BULK_SECONDS = 60.0
"""What a transaction is given that an operator has started, or that goes over whole tables."""

Execute = Callable[[str, Parameters | None], Awaitable[Result]]
Effect = Callable[[], Awaitable[object] | None]


class DatabaseUnavailable(ServiceUnavailable):
    """The database cannot be reached or is too busy; nothing was changed."""


class CommitUnknown(ServiceUnavailable):
    """The answer to a COMMIT was lost: the transaction may have held or not."""


class Transaction:
    """Statements of one transaction and what is to follow its commit."""

    log = Logger()

    def __init__(self, name: str, execute: Execute) -> None:
        self.name = name
        self._execute = execute
        self._effects: list[Effect] = []

    async def run(self, sql: str, parameters: Parameters | None = None) -> int:
        """Run a statement; the count of rows it touched."""
        return (await self._execute(sql, parameters)).count

    async def rows(self, sql: str, parameters: Parameters | None = None) -> list[Row]:
        """All rows of a statement."""
        return (await self._execute(sql, parameters)).rows

    async def row(self, sql: str, parameters: Parameters | None = None) -> Row | None:
        """The first row of a statement, or None."""
        rows = await self.rows(sql, parameters)
        return rows[0] if rows else None

    async def value(self, sql: str, parameters: Parameters | None = None) -> Any:
        """The first column of a statement's first row, or None without a row."""
        row = await self.row(sql, parameters)
        return row[0] if row else None

    def after_commit(self, effect: Effect) -> None:
        """Call ``effect`` once the commit is confirmed; a failure is logged."""
        self._effects.append(effect)

    async def follow(self) -> None:
        """Let every effect follow, also when the task is cancelled while it waits for one."""
        cancelled: CancelledError | None = None
        for effect in self._effects:
            try:
                following = effect()
                if following is not None:
                    await following
            except CancelledError as error:
                cancelled = error
            except Exception:
                self.log.failure("effect after commit of {name} failed", name=self.name)
        if cancelled is not None:
            raise cancelled


@frozen
class PoolLimits:
    """Bounds of a pool: connections, waiting callers, seconds of waiting, per statement and per
    transaction that may write."""

    connections: int = 8
    waiting: int = 200
    wait_seconds: float = 5.0
    statement_seconds: float = 10.0
    transaction_seconds: float = 5.0
