"""Forward-only migrations, one folder per component, applied under an advisory lock.

A migration is ``<component>/migrations/NNNN_name.sql``. Its head may declare

* ``-- depends: identity/0001, ganeti/0002``: migrations of other components that come before;
* ``-- oldest-compatible: NNNN``: programs that lack migration NNNN of this component must not run
  on the new schema any more.

The checksum of each applied file is stored. A program refuses to start on a schema that is behind
it, or whose ``oldest_compatible`` is ahead of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

from attrs import frozen

import synnefo_tx
from synnefo_tx.db.pool import Database, Transaction

LOCK_KEY = 0x53594E4E
MIGRATION_SECONDS = 3600.0
FILE_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")

CREATE_REGISTER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    component text NOT NULL,
    number integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    oldest_compatible integer NOT NULL DEFAULT 0,
    applied timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (component, number)
)
"""
SELECT_APPLIED = "SELECT component, number, checksum, oldest_compatible FROM schema_migrations"
HAS_REGISTER = "SELECT to_regclass('schema_migrations') IS NOT NULL"
INSERT_APPLIED = """
INSERT INTO schema_migrations (component, number, name, checksum, oldest_compatible)
VALUES (%(component)s, %(number)s, %(name)s, %(checksum)s, %(oldest)s)
"""


class SchemaError(Exception):
    """The schema does not fit this program; the text says what to do."""


@frozen
class Migration:
    """One migration file."""

    component: str
    number: int
    name: str
    sql: str
    depends: frozenset[tuple[str, int]]
    oldest_compatible: int

    @property
    def key(self) -> tuple[str, int]:
        return (self.component, self.number)

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


@frozen
class Applied:
    """A migration that a database has."""

    component: str
    number: int
    checksum: str
    oldest_compatible: int


def parse(component: str, path: Path) -> Migration:
    """Read one migration file; raises SchemaError for a wrong name."""
    match = FILE_NAME.match(path.name)
    if match is None:
        raise SchemaError(f"{path} is not named NNNN_name.sql")
    sql = path.read_text(encoding="utf-8")
    number = int(match.group(1))
    depends = {(component, number - 1)} if number > 1 else set()
    oldest = 0
    for line in sql.splitlines():
        if line.startswith("-- depends:"):
            for each in line.removeprefix("-- depends:").split(","):
                other, other_number = each.strip().split("/")
                depends.add((other, int(other_number)))
        elif line.startswith("-- oldest-compatible:"):
            oldest = int(line.removeprefix("-- oldest-compatible:"))
    return Migration(component, number, match.group(2), sql, frozenset(depends), oldest)


def known() -> list[Migration]:
    """All migrations of this program, in an order that respects their dependencies."""
    root = Path(synnefo_tx.__file__).parent
    found = [
        parse(path.parent.parent.name, path) for path in sorted(root.glob("*/migrations/*.sql"))
    ]
    return ordered(found)


def ordered(migrations: Iterable[Migration]) -> list[Migration]:
    """Sort so that each follows what it depends on; raises SchemaError on a circle or a gap."""
    left = {each.key: each for each in migrations}
    result: list[Migration] = []
    done: set[tuple[str, int]] = set()
    while left:
        ready = sorted(key for key, each in left.items() if each.depends <= done)
        if not ready:
            names = ", ".join(f"{component}/{number:04}" for component, number in sorted(left))
            raise SchemaError(f"migrations wait for each other or for something absent: {names}")
        for key in ready:
            result.append(left.pop(key))
            done.add(key)
    return result


def missing(migrations: Iterable[Migration], applied: Iterable[Applied]) -> list[Migration]:
    """What a database lacks.

    Raises SchemaError when an applied file was changed since, or when the schema was made by a
    newer program that this one is too old for.
    """
    ours = {each.key: each for each in migrations}
    newest = {component: max(n for c, n in ours if c == component) for component, _ in ours}
    have = set()
    for each in applied:
        have.add((each.component, each.number))
        migration = ours.get((each.component, each.number))
        if migration is not None and migration.checksum != each.checksum:
            raise SchemaError(
                f"migration {each.component}/{each.number:04} was changed after it was applied"
            )
        if each.oldest_compatible > newest.get(each.component, 0):
            raise SchemaError(
                f"the database's schema is newer than this program ({each.component}/"
                f"{each.number:04}): install the version that made it, or a later one"
            )
    return [each for each in ours.values() if each.key not in have]


async def applied_to(database: Database) -> list[Applied]:
    """The migrations that a database has; none for an empty one."""
    if not (await database.read(HAS_REGISTER))[0][0]:
        return []
    return [Applied(*row) for row in await database.read(SELECT_APPLIED)]


async def require_current(database: Database) -> None:
    """Raise SchemaError unless the schema fits this program."""
    behind = missing(known(), await applied_to(database))
    if behind:
        raise SchemaError(
            f"the database's schema lacks {len(behind)} migrations: run snf-manage db-migrate"
        )


async def migrate(database: Database) -> list[Migration]:
    """Apply what is missing, all or nothing, one program at a time; returns what was applied.

    A migration may take as long as it needs on large tables, and whoever waits for another program
    waits as long.
    """
    async with database.transaction(
        "db-migrate", limit_seconds=MIGRATION_SECONDS, statement_seconds=MIGRATION_SECONDS
    ) as tx:
        await tx.run("SELECT pg_advisory_xact_lock(%(key)s)", {"key": LOCK_KEY})
        await tx.run(CREATE_REGISTER)
        applied = [Applied(*row) for row in await tx.rows(SELECT_APPLIED)]
        fresh = missing(known(), applied)
        for migration in fresh:
            await _apply(tx, migration)
    return fresh


async def _apply(tx: Transaction, migration: Migration) -> None:
    await tx.run(migration.sql)
    await tx.run(
        INSERT_APPLIED,
        {
            "component": migration.component,
            "number": migration.number,
            "name": migration.name,
            "checksum": migration.checksum,
            "oldest": migration.oldest_compatible,
        },
    )
