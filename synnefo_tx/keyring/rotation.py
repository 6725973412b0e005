"""Gives all stored secrets a new key while the service runs.

1. A new version is made, durable before anybody hears of it. If values of an older version are
   left, the last rotation was cut short: then it is taken up again and none is made.
2. Everybody is told. A second later every process seals with the new version: it heard, or knows
   that it does not hear and reads the keys each time.
3. What is stored is sealed anew, in batches; a value that was changed meanwhile is left to the
   next look.
4. Transactions that were open at the end of that second may have sealed with the old version:
   when they have ended, what they left is sealed anew too. After that nobody writes the old one.

Killed anywhere, it leaves values that open, because no key is removed; ``retire`` removes old
versions after the same wait, when no value has them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from synnefo_tx.db.listener import SILENCE_SECONDS
from synnefo_tx.db.pool import Database
from synnefo_tx.db.quiet import wait_until_ended
from synnefo_tx.faults import Conflict
from synnefo_tx.journal.record import record
from synnefo_tx.keyring.model import DATABASE, Key
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.sealing import SealBroken, name_prefix, prefix_of

BATCH = 50
IS_THERE = """
SELECT 1 FROM pg_attribute
WHERE attrelid = to_regclass(%(table)s) AND attname = %(column)s AND NOT attisdropped
"""
HEARD_SECONDS = SILENCE_SECONDS + 0.2
TRANSACTIONS_LIMIT_SECONDS = 60.0

Tell = Callable[[int, int], None]
"""Told how many of how many values are done."""


@frozen
class SealedColumn:
    """A column of sealed values: its table, the columns of the table's key, and the purpose by
    that key. Null is no value."""

    table: str
    key: tuple[str, ...]
    column: str
    purpose: Callable[..., str]

    @property
    def count(self) -> str:
        """SQL: values by what they begin with, empty for those without header."""
        return f"""
            SELECT CASE WHEN substring({self.column} for %(name_bytes)s) = %(name)s
             THEN substring({self.column} for %(prefix_bytes)s) ELSE ''::bytea END, count(*)
            FROM {self.table} WHERE {self.column} IS NOT NULL GROUP BY 1
        """  # noqa: S608 (names of our own tables)

    def select(self, after: bool) -> str:
        """SQL: the next values that are not sealed with a key, the first or those ``after``."""
        names = ", ".join(self.key)
        last = ", ".join(f"%({name})s" for name in self.key)
        return f"""
            SELECT {names}, {self.column} FROM {self.table}
            WHERE substring({self.column} for %(prefix_bytes)s) <> %(prefix)s
            {f"AND ({names}) > ({last})" if after else ""} ORDER BY {names} LIMIT %(limit)s
        """  # noqa: S608 (names of our own tables)

    @property
    def is_used(self) -> str:
        """SQL: whether there is a value."""
        return f"SELECT EXISTS (SELECT FROM {self.table} WHERE {self.column} IS NOT NULL)"  # noqa: S608

    @property
    def update(self) -> str:
        """SQL: another value for one that was not changed meanwhile."""
        same = " AND ".join(f"{name} = %({name})s" for name in self.key)
        return f"""
            UPDATE {self.table} SET {self.column} = %(new)s
            WHERE {same} AND {self.column} = %(old)s
        """  # noqa: S608 (names of our own tables)


@frozen
class Usage:
    """How many values of a column are sealed with a version; None is a key that is not here."""

    table: str
    version: int | None
    count: int


@frozen
class Rotated:
    """What a rotation did: the version, whether it was made, and how many values got it."""

    version: int
    is_new: bool
    count: int
    broken: tuple[str, ...] = ()


async def sealed_somewhere(database: Database, columns: Sequence[SealedColumn]) -> str:
    """The first of the columns that holds a value; empty if none does."""
    for column in columns:
        place = {"table": column.table, "column": column.column}
        # Before the first migration there is none.
        if await database.read(IS_THERE, place) and (await database.read(column.is_used))[0][0]:
            return f"{column.table}.{column.column}"
    return ""


@frozen
class Rotation:
    """Rotates the key of what is stored in ``columns``."""

    database: Database
    keyring: Keyring
    columns: Sequence[SealedColumn]
    clock: IReactorTime
    heard_seconds: float = HEARD_SECONDS
    transactions_limit_seconds: float = TRANSACTIONS_LIMIT_SECONDS

    async def usage(self) -> list[Usage]:
        """Which versions are used where."""
        keys = (await self.keyring.load()).of(DATABASE)
        versions: dict[bytes, int] = {prefix_of(key): key.version for key in keys}
        versions[b""] = 0
        values = {
            "name": name_prefix(DATABASE),
            "name_bytes": len(name_prefix(DATABASE)),
            "prefix_bytes": len(prefix_of(keys[0])),
        }
        found: dict[tuple[str, int | None], int] = {}
        for column in self.columns:
            for prefix, count in await self.database.read(column.count, values):
                place = f"{column.table}.{column.column}", versions.get(bytes(prefix))
                found[place] = found.get(place, 0) + count
        return [Usage(table, version, count) for (table, version), count in found.items()]

    async def rotate(self, tell: Tell) -> Rotated:
        """Make a version, or go on with the newest, and give it to everything stored.

        Raises KeyringError where no version can be made, Conflict when a transaction of others did
        not end in time: then to be run again.
        """
        key = (await self.keyring.load()).sealing(DATABASE)
        # Values that no key here opens keep nobody from a new one: the pass tells of them.
        is_new = not [
            each for each in await self.usage() if each.version not in (key.version, None)
        ]
        if is_new:
            await self.keyring.source.make(DATABASE)
            key = (await self.keyring.load()).sealing(DATABASE)
        await self._tell_all("keyring:key:rotate", f"version {key.version}")
        told = self.clock.seconds()
        count, broken = await self._pass(key, tell)
        await self._settle(told)
        more, broken_later = await self._pass(key, tell)
        broken |= broken_later
        return Rotated(key.version, is_new, count + more, tuple(sorted(broken)))

    async def retire(self) -> list[int]:
        """Remove the versions that nothing is sealed with any more; which they were.

        Raises Conflict when something is, KeyringError where keys are not ours to remove.
        """
        keys = (await self.keyring.load()).of(DATABASE)
        old = [key.version for key in keys[1:]]
        if not old:
            return []
        await self._tell_all()
        await self._settle(self.clock.seconds())
        used = [each for each in await self.usage() if each.version != keys[0].version]
        if used:
            texts = ", ".join(f"{each.count} in {each.table}" for each in used)
            raise Conflict(f"Older versions are still used ({texts}): run secret-rotate first")
        await self.keyring.source.retire(DATABASE, old)
        await self._tell_all("keyring:key:retire", f"versions {', '.join(map(str, old))}")
        return old

    async def _tell_all(self, action: str = "", details: str = "") -> None:
        async with self.database.transaction("keyring-changed") as tx:
            await self.keyring.tell(tx)
            if action:
                await record(tx, action, "key", DATABASE, details=details)

    async def _settle(self, told: float) -> None:
        rest = self.heard_seconds - (self.clock.seconds() - told)
        if rest > 0:
            await deferLater(self.clock, rest)
        if not await wait_until_ended(self.database, self.clock, self.transactions_limit_seconds):
            raise Conflict(
                "A transaction on the database has been open for "
                f"{self.transactions_limit_seconds:.0f} seconds and may hold an old version: run "
                "this again when it has ended"
            )

    async def _left(self, key: Key) -> int:
        return sum(each.count for each in await self.usage() if each.version != key.version)

    async def _pass(self, key: Key, tell: Tell) -> tuple[int, set[str]]:
        total, done, broken = await self._left(key), 0, set[str]()
        for column in self.columns:
            last: dict[str, Any] = {}
            while rows := await self._batch(column, key, last):
                last = dict(zip(column.key, rows[-1], strict=False))
                count, failed = await self._seal_anew(column, rows)
                done += count
                broken |= {f"{column.table} {each}" for each in failed}
                tell(min(done, total), total)
        return done, broken

    async def _batch(self, column: SealedColumn, key: Key, last: dict[str, Any]) -> list[Any]:
        prefix = prefix_of(key)
        values = {"prefix": prefix, "prefix_bytes": len(prefix), "limit": BATCH, **last}
        return list(await self.database.read(column.select(after=bool(last)), values))

    async def _seal_anew(self, column: SealedColumn, rows: list[Any]) -> tuple[int, list[str]]:
        """Seal values anew, in the order of their keys; how many, and which do not open."""
        done, failed = 0, []
        async with self.database.transaction("secret-rotate") as tx:
            for row in rows:
                key, old = [plain(each) for each in row[:-1]], bytes(row[-1])
                purpose = column.purpose(*key)
                try:
                    secret = await self.keyring.open(old, purpose)
                except SealBroken:
                    failed.append(" ".join(map(shown, key)))
                    continue
                new = await self.keyring.seal(tx, secret, purpose)
                values = dict(zip(column.key, key, strict=True)) | {"old": old, "new": new}
                done += await tx.run(column.update, values)
        return done, failed


def plain(value: Any) -> Any:
    """A value of a key as it is compared: bytes come as a view of memory."""
    return bytes(value) if isinstance(value, memoryview) else value


def shown(value: Any) -> str:
    """A value of a key for people."""
    return value.hex()[:16] if isinstance(value, bytes) else str(value)
