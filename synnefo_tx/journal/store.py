"""SQL of the journal's pages and partitions."""

from __future__ import annotations

from datetime import date
from typing import Any

from synnefo_tx.db.pool import Database, Transaction
from synnefo_tx.journal import rules
from synnefo_tx.journal.model import Entry, Scope

COLUMNS = """id, at, actor, remote, request, action, kind, object, owner, project, details,
 operation, result"""
# The end of an operation is not before its beginning; a clock that was set back is allowed for.
ENDED = """
SELECT s.id, s.at, s.actor, s.remote, s.request, s.action, s.kind, s.object, s.owner, s.project,
 s.details, s.operation, coalesce(e.result, s.result),
 coalesce(e.at, CASE WHEN s.operation = '' THEN s.at END), coalesce(e.details, '')
FROM ({page}) s LEFT JOIN LATERAL (
    SELECT at, result, details FROM journal
    WHERE is_end AND operation = s.operation AND s.operation <> ''
     AND at >= s.at - interval '1 day' LIMIT 1
) e ON true ORDER BY s.id DESC
"""
PIECE = "(SELECT {columns} FROM journal WHERE {conditions} ORDER BY id DESC LIMIT %(limit)s)"
PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'journal'::regclass
"""
REST_MONTHS = "SELECT DISTINCT date_trunc('month', at AT TIME ZONE 'UTC')::date FROM journal_rest"
TODAY = "SELECT (synnefo_now() AT TIME ZONE 'UTC')::date"
# Who writes must not stand behind one that waits for those who write.
LOCK_LIMIT = "SET LOCAL lock_timeout = '1s'"
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('journal partitions', 0))"
KEEP_WRITERS_OUT = "LOCK TABLE ONLY journal IN SHARE ROW EXCLUSIVE MODE"
GUARD = """
CREATE TRIGGER journal_not_emptied BEFORE TRUNCATE ON {name}
    FOR EACH STATEMENT EXECUTE FUNCTION journal_refuse_change()
"""
CREATE = "CREATE TABLE {name} (LIKE journal INCLUDING ALL)"
ATTACH = "ALTER TABLE journal ATTACH PARTITION {name} FOR VALUES FROM ('{begin}') TO ('{end}')"
DETACH_REST = "ALTER TABLE journal DETACH PARTITION journal_rest"
# Detached, it has the journal's columns and none of its row triggers.
SET_REST_ASIDE = "ALTER TABLE journal_rest RENAME TO journal_aside"
IS_ASIDE = "SELECT to_regclass('journal_aside') IS NOT NULL"
MOVE = """
WITH moved AS (DELETE FROM journal_aside
  WHERE ctid = ANY (ARRAY(SELECT ctid FROM journal_aside LIMIT %(limit)s)) RETURNING *)
INSERT INTO journal SELECT * FROM moved
"""
DROP = "DROP TABLE {name}"
CREATE_REST = "CREATE TABLE journal_rest PARTITION OF journal DEFAULT"


def page_statement(scope: Scope) -> str:
    """The statement that reads the newest entries of a scope; its parameters are those of
    ``page_parameters``."""
    asked = ["NOT is_end"]
    asked += [f"{name} = %({name})s" for name in ("kind", "object") if getattr(scope, name)]
    if scope.before is not None:
        asked.append("id < %(before)s")
    own = [*asked, *(["project = %(project)s"] if scope.project else [])]
    if scope.sees_all:
        named = [f"{name} = %({name})s" for name in ("owner", "actor") if getattr(scope, name)]
        pieces = [[*own, *named]]
    else:
        pieces = [
            [*own, "owner = %(user)s"],
            [*own, "kind = 'project'", "project = ANY (%(projects)s)", "owner <> %(user)s"],
        ]
    page = " UNION ALL ".join(
        PIECE.format(columns=COLUMNS, conditions=" AND ".join(each)) for each in pieces
    )
    newest = f"SELECT * FROM ({page}) both_pieces ORDER BY id DESC LIMIT %(limit)s"
    return ENDED.format(page=newest)


def page_parameters(scope: Scope, limit: int) -> dict[str, Any]:
    """The parameters of ``page_statement``."""
    return {
        "user": scope.user,
        "projects": list(scope.projects),
        "kind": scope.kind,
        "object": scope.object,
        "project": scope.project,
        "before": scope.before,
        "owner": scope.owner,
        "actor": scope.actor,
        "limit": limit,
    }


async def read_page(database: Database, scope: Scope, limit: int) -> list[Entry]:
    """The newest entries of a scope."""
    rows = await database.read(page_statement(scope), page_parameters(scope, limit))
    return [Entry(*row) for row in rows]


class PartitionStore:
    """The journal's partitions, inside a transaction that changes them."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def lock(self) -> None:
        """Keep others from changing partitions; wait a second at most for anything."""
        await self._tx.run(LOCK_LIMIT)
        await self._tx.run(LOCK)

    async def keep_writers_out(self) -> None:
        """Let nobody write while the partitions change.

        Who finds the place of a row before they change, and waits for it until they have, is
        refused by PostgreSQL: the place is that of another month by then.
        """
        await self._tx.run(KEEP_WRITERS_OUT)

    async def today(self) -> date:
        """The day of now, UTC."""
        day: date = await self._tx.value(TODAY)
        return day

    async def months(self) -> list[date]:
        """The months that have a partition."""
        months = [rules.parse(row[0]) for row in await self._tx.rows(PARTITIONS)]
        return sorted(month for month in months if month is not None)

    async def rest_months(self) -> list[date]:
        """The months of rows that no month's partition took."""
        return [row[0] for row in await self._tx.rows(REST_MONTHS)]

    async def attach(self, month: date) -> None:
        """Make the partition of a month."""
        name = rules.name_of(month)
        await self._tx.run(CREATE.format(name=name))
        await self._tx.run(GUARD.format(name=name))
        begin, end = (f"{day} 00:00:00+00" for day in (month, rules.later(month, 1)))
        await self._tx.run(ATTACH.format(name=name, begin=begin, end=end))

    async def set_rest_aside(self, months: list[date]) -> None:
        """Make partitions of ``months``, which ``move`` will fill with what no partition took."""
        await self._tx.run(DETACH_REST)
        await self._tx.run(SET_REST_ASIDE)
        for month in months:
            await self.attach(month)
        await self._tx.run(CREATE_REST)
        await self._tx.run(GUARD.format(name="journal_rest"))

    async def is_aside(self) -> bool:
        """Whether something was set aside and is not moved yet."""
        return bool(await self._tx.value(IS_ASIDE))

    async def move(self, limit: int) -> int:
        """Move some of what was set aside to its partitions; how many rows."""
        return await self._tx.run(MOVE, {"limit": limit})

    async def end_move(self) -> None:
        """Nothing is aside any more."""
        await self._tx.run(DROP.format(name="journal_aside"))

    async def drop(self, month: date) -> None:
        """Forget a month."""
        await self._tx.run(DROP.format(name=rules.name_of(month)))
