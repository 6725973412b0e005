"""SQL of the outbox of changes: numbering, reading, sweeping."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from synnefo_tx.changes.model import Change, Position
from synnefo_tx.db.pool import Database, Hot, Transaction
from synnefo_tx.db.sweeping import STEP_ROWS

NUMBERED = "changes_numbered"
"""Channel on which the last number is told."""
WRITTEN = "changes_written"
"""Channel on which a process says that it committed something."""
WANTED = "changes_wanted"
"""Channel on which a process says that somebody follows the stream there."""

INCARNATION = """
concat('stream_sequence'::regclass::oid, ' ', extract(epoch FROM pg_postmaster_start_time()))
""".strip()
"""The table and the server's start that numbers belong to."""

PENDING = Hot("""
SELECT EXISTS (SELECT FROM stream_changes WHERE n IS NULL AND NOT minor),
 EXISTS (SELECT FROM stream_changes WHERE n IS NULL AND minor)
""")
# What is visible is committed, so any order will do: that of the ids, whose gaps leave gaps among
# the numbers. A join of changes with their numbers would be planned for few and be slow with many.
# Only its own leader numbers while a transaction is fenced, so the last number is the one seen.
NUMBER = Hot(f"""
WITH found AS MATERIALIZED (
  SELECT min(id) AS first, max(id) AS final FROM (SELECT id FROM stream_changes
    WHERE n IS NULL AND (NOT minor OR %(minor)s::boolean)
    ORDER BY id LIMIT %(most)s::integer) AS pending),
given AS (UPDATE stream_changes c SET n = s.last + c.id - found.first + 1, numbered = synnefo_now()
  FROM found, stream_sequence s WHERE c.n IS NULL AND (NOT c.minor OR %(minor)s::boolean)
  AND c.id BETWEEN found.first AND found.final RETURNING c.n)
UPDATE stream_sequence SET last = last + found.final - found.first + 1
FROM found WHERE found.first IS NOT NULL
RETURNING (SELECT count(*) FROM given), pg_notify('{NUMBERED}', last::text)
""")
# Never one of before, also when the clock was set back; ``last`` stays, or numbers that are being
# given would be given twice.
BEGIN_EPOCH = f"""
UPDATE stream_sequence SET incarnation = {INCARNATION},
 epoch = greatest(epoch + 1, extract(epoch FROM synnefo_now())::bigint)
"""
RENEW_EPOCH = f"{BEGIN_EPOCH} WHERE incarnation IS DISTINCT FROM {INCARNATION}"
EPOCH = f" RETURNING epoch, pg_notify('{NUMBERED}', '')"
STATE = Hot("SELECT epoch, last FROM stream_sequence")
READ = Hot("""
SELECT s.epoch, s.last, s.swept, c.n, c.kind, c.key, c.viewer::text, c.everyone,
 extract(epoch FROM synnefo_now() - c.written)::float8
FROM stream_sequence s LEFT JOIN LATERAL (SELECT * FROM stream_changes
  WHERE n > %(after)s::bigint ORDER BY n LIMIT %(most)s::integer) AS c ON true
ORDER BY c.n
""")
# What was numbered by a clock that was ahead is old too: it would stand before all that follow.
SWEEP = """
WITH first AS MATERIALIZED (SELECT ctid AS place, numbered FROM stream_changes
  WHERE n IS NOT NULL ORDER BY n LIMIT %(limit)s),
gone AS (DELETE FROM stream_changes WHERE ctid = ANY (ARRAY(SELECT place FROM first
  WHERE numbered NOT BETWEEN synnefo_now() - make_interval(secs => %(keep)s)
   AND synnefo_now() + make_interval(secs => %(keep)s))) RETURNING n)
UPDATE stream_sequence SET swept = greatest(swept, (SELECT max(n) FROM gone))
WHERE EXISTS (SELECT FROM gone) RETURNING (SELECT count(*) FROM gone)
"""
TELL_WRITTEN = f"NOTIFY {WRITTEN}"
TELL_WANTED = f"NOTIFY {WANTED}"

READ_MAX = 500
NUMBER_MAX = 2000


@frozen
class Batch:
    """What follows a place: the stream's epoch and end, what is kept no more, the next changes."""

    end: Position
    swept: int
    changes: Sequence[Change]


async def pending(database: Database) -> tuple[bool, bool]:
    """Whether changes have no number yet, and whether minor ones have none."""
    now, later = (await database.read(PENDING))[0]
    return now, later


async def number(tx: Transaction, *, minor: bool) -> int:
    """Give numbers to the changes that are committed, with ``minor`` also to minor ones; how many
    that were."""
    return await tx.value(NUMBER, {"minor": minor, "most": NUMBER_MAX}) or 0


async def begin_epoch(tx: Transaction) -> int:
    """Begin another epoch and have all processes hear of it; which."""
    return int(await tx.value(BEGIN_EPOCH + EPOCH))


async def renew_epoch(tx: Transaction) -> int | None:
    """Begin another epoch unless the database is what it was in this one; which."""
    epoch: int | None = await tx.value(RENEW_EPOCH + EPOCH)
    return epoch


async def end_of_stream(database: Database) -> Position:
    """Where the stream ends now."""
    return Position(*(await database.read(STATE))[0])


async def read(database: Database, after: int) -> Batch:
    """The changes after a number."""
    rows = await database.read(READ, {"after": after, "most": READ_MAX})
    epoch, last, swept = rows[0][:3]
    return Batch(Position(epoch, last), swept, [Change(*row[3:]) for row in rows if row[3]])


async def tell_written(database: Database) -> None:
    """Have the sequencer look."""
    await database.read(TELL_WRITTEN)


async def tell_wanted(database: Database) -> None:
    """Have changes told soon, for a while."""
    await database.read(TELL_WANTED)


async def sweep(tx: Transaction, keep_seconds: float) -> int:
    """Forget some of what was numbered longer ago; how many."""
    return await tx.value(SWEEP, {"keep": keep_seconds, "limit": STEP_ROWS}) or 0
