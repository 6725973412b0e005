"""SQL of intents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synnefo_tx.db.pool import Database, Hot, Json, Row, Transaction
from synnefo_tx.ganeti.jobs.model import Draft, Intent, JobNews

COLUMNS = """id::text, backend, subject, instance, opcode, call, arguments, after::text[],
 request_id,
 created, deadline, last_job_id, attempts, attempted, absent_since, job_id, job_status, outcome,
 ended, error"""
INSERT = Hot("""
INSERT INTO intents (id, backend, subject, instance, opcode, call, arguments, after, request_id,
 created, deadline, last_job_id)
SELECT %(id)s, id, %(subject)s, %(instance)s, %(opcode)s, %(call)s, %(arguments)s,
 %(after)s::uuid[], %(request_id)s, synnefo_now(),
 synnefo_now() + make_interval(secs => %(limit_seconds)s), last_job_id
FROM backends WHERE id = %(backend)s
""")
# One process at a time submits an intent, and only when those it waits for have their jobs.
CLAIM = Hot(f"""
UPDATE intents SET attempts = attempts + 1, attempted = synnefo_now(), absent_since = NULL,
 claimed_until = synnefo_now() + make_interval(secs => %(lease_seconds)s)
WHERE id = %(id)s AND job_id IS NULL AND ended IS NULL AND attempts = %(attempts)s
 AND (claimed_until IS NULL OR claimed_until < synnefo_now())
 AND NOT EXISTS (
    SELECT FROM intents AS before WHERE before.id = ANY (intents.after)
     AND before.job_id IS NULL AND before.ended IS NULL)
RETURNING {COLUMNS}
""")
# Nothing was sent: the intent is as if never tried. A claim is given back by who holds it: who
# comes late must not undo the claim of another.
UNCLAIM = """
UPDATE intents SET attempted = NULL, claimed_until = NULL
WHERE id = %(id)s AND job_id IS NULL AND attempts = %(attempts)s
"""
RECORD_JOB = Hot("""
UPDATE intents SET job_id = %(job_id)s, job_status = 'queued', absent_since = NULL,
 claimed_until = NULL
WHERE id = %(id)s AND job_id IS NULL
""")
RECORD_STATUS = Hot("""
UPDATE intents SET job_status = %(status)s, job_id = coalesce(job_id, %(job_id)s)
WHERE id = %(id)s AND ended IS NULL
""")
# Several at once; each row belongs to a subject that its transaction has locked.
RECORD_STATUSES = Hot("""
UPDATE intents SET job_status = news.status, job_id = coalesce(intents.job_id, news.job_id)
FROM unnest(%(ids)s::uuid[], %(statuses)s::text[], %(jobs)s::bigint[]) AS news (id, status, job_id)
WHERE intents.id = news.id AND ended IS NULL
""")
END = Hot("""
UPDATE intents SET outcome = %(status)s, job_status = %(status)s, ended = synnefo_now(),
 job_id = coalesce(job_id, %(job_id)s), error = %(error)s
WHERE id = %(id)s AND ended IS NULL
RETURNING id
""")
RECORD_ABSENT = """
UPDATE intents SET absent_since = synnefo_now() WHERE id = %(id)s AND absent_since IS NULL
"""
RELEASE_CLAIM = """
UPDATE intents SET claimed_until = NULL
WHERE id = %(id)s AND job_id IS NULL AND attempts = %(attempts)s
"""
GET = f"SELECT {COLUMNS} FROM intents WHERE id = %(id)s"
# Intents of one transaction have the same moment: the id makes the order certain.
OPEN = Hot(f"""
SELECT {COLUMNS} FROM intents WHERE backend = %(backend)s AND ended IS NULL ORDER BY created, id
""")
OF_SUBJECT = f"""
SELECT {COLUMNS} FROM intents WHERE subject = %(subject)s AND ended IS NULL ORDER BY created, id
"""
JOB_IDS = Hot("""
SELECT job_id FROM intents WHERE id = ANY (%(ids)s::uuid[]) AND job_id IS NOT NULL ORDER BY job_id
""")
TIED = Hot(f"""
SELECT {COLUMNS} FROM intents WHERE id = ANY (%(ids)s::uuid[])
UNION ALL
SELECT {COLUMNS} FROM intents JOIN unnest(%(backends)s::bigint[], %(jobs)s::bigint[])
 AS told (of_backend, of_job) ON backend = of_backend AND job_id = of_job
""")
HISTORY = f"""
SELECT {COLUMNS} FROM intents WHERE subject = %(subject)s ORDER BY created DESC, id LIMIT %(limit)s
"""
OPEN_COUNT = "SELECT count(*) FROM intents WHERE backend = %(backend)s AND ended IS NULL"
OPEN_COUNTS = """
SELECT backend, count(*), extract(epoch FROM synnefo_now() - min(created))::float8 FROM intents
WHERE ended IS NULL GROUP BY backend
"""


def from_row(row: Row) -> Intent:
    """An intent from the columns of COLUMNS."""
    return Intent(*row)


async def open_intents(database: Database, backend: int) -> list[Intent]:
    """Intents of a backend that have not ended, oldest first."""
    return [from_row(row) for row in await database.read(OPEN, {"backend": backend})]


async def open_count(database: Database, backend: int) -> int:
    """How many intents of a backend have not ended."""
    return int((await database.read(OPEN_COUNT, {"backend": backend}))[0][0])


async def open_counts(database: Database) -> list[tuple[int, int, float]]:
    """Backend, count of its open intents, age of the oldest in seconds."""
    return [(row[0], row[1], row[2]) for row in await database.read(OPEN_COUNTS)]


async def intents_of(database: Database, subject: str, limit: int) -> list[Intent]:
    """The latest intents of a subject, ended ones too, newest first."""
    rows = await database.read(HISTORY, {"subject": subject, "limit": limit})
    return [from_row(row) for row in rows]


async def tied_intents(
    database: Database, ids: Sequence[str], jobs: Sequence[tuple[int, int]]
) -> list[Intent]:
    """Intents with one of the ``ids``, or one of the ``jobs``: backend and number."""
    values = {
        "ids": list(ids),
        "backends": [backend for backend, _ in jobs],
        "jobs": [number for _, number in jobs],
    }
    return [from_row(row) for row in await database.read(TIED, values)]


class JobStore:
    """Intents inside a transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def insert_intent(self, draft: Draft, request_id: str) -> None:
        """Write down what is to be asked of a cluster."""
        await self._tx.run(
            INSERT,
            {
                "id": draft.id,
                "backend": draft.backend,
                "subject": draft.subject,
                "instance": draft.instance,
                "opcode": draft.opcode,
                "call": draft.call,
                "arguments": Json(draft.arguments),
                "after": list(draft.after),
                "request_id": request_id,
                "limit_seconds": draft.limit_seconds,
            },
        )

    async def find(self, id: str) -> Intent | None:
        """The intent ``id``, if it is there."""
        row = await self._tx.row(GET, {"id": id})
        return None if row is None else from_row(row)

    async def of_subject(self, subject: str) -> list[Intent]:
        """Open intents of a subject, oldest first."""
        return [from_row(row) for row in await self._tx.rows(OF_SUBJECT, {"subject": subject})]

    async def claim(self, id: str, attempts: int, lease_seconds: float) -> Intent | None:
        """Take an intent for submission; None if it is taken, done, or waits for another.

        ``attempts`` is what the claimer has seen: of two with the same view, one gets it.
        """
        values = {"id": id, "attempts": attempts, "lease_seconds": lease_seconds}
        row = await self._tx.row(CLAIM, values)
        return None if row is None else from_row(row)

    async def unclaim(self, claimed: Intent) -> None:
        """Nothing was sent: leave the intent as if never tried."""
        await self._tx.run(UNCLAIM, {"id": claimed.id, "attempts": claimed.attempts})

    async def release_claim(self, claimed: Intent) -> None:
        """The answer is not known: others may look for the job now."""
        await self._tx.run(RELEASE_CLAIM, {"id": claimed.id, "attempts": claimed.attempts})

    async def record_job(self, id: str, job_id: int) -> None:
        """The cluster took the intent as job ``job_id``."""
        await self._tx.run(RECORD_JOB, {"id": id, "job_id": job_id})

    async def record_absent(self, id: str) -> None:
        """A look found no job."""
        await self._tx.run(RECORD_ABSENT, {"id": id})

    async def record_news(self, news: JobNews) -> bool:
        """Store what news say of their intent; True if this ended it, once."""
        values: dict[str, Any] = {
            "id": news.intent,
            "status": news.status,
            "job_id": news.job_id,
            "error": news.error,
        }
        if news.intent is None:
            return False
        if news.final:
            return await self._tx.row(END, values) is not None
        await self._tx.run(RECORD_STATUS, values)
        return False

    async def record_statuses(self, news: Sequence[JobNews]) -> None:
        """Store how far jobs are that have not ended; all news have an intent."""
        values = {
            "ids": [each.intent for each in news],
            "statuses": [each.status for each in news],
            "jobs": [each.job_id for each in news],
        }
        await self._tx.run(RECORD_STATUSES, values)

    async def job_ids(self, intents: Sequence[str]) -> list[int]:
        """Jobs of the given intents, as far as they have one."""
        return [row[0] for row in await self._tx.rows(JOB_IDS, {"ids": list(intents)})]
