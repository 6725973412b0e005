"""SQL of the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from synnefo_tx.db.pool import Database, Row, Transaction
from synnefo_tx.mail.model import Claimed, Counts, Mail, Recipient, State

COLUMNS = """id, created, template, recipient, recipient_name, subject, state,
 attempts, next_attempt, error, ended"""
INSERT = """
INSERT INTO mail_outbox (created, template, recipient, recipient_name, subject, sealed,
 next_attempt)
VALUES (synnefo_now(), %(template)s, %(recipient)s, %(recipient_name)s, %(subject)s, %(sealed)s,
 synnefo_now())
RETURNING id
"""
# One that was claimed and is not settled when the claim ends is claimed again: it may have gone.
CLAIM = f"""
UPDATE mail_outbox SET attempts = attempts + 1,
 claimed_until = synnefo_now() + %(lease)s * interval '1 second'
WHERE id IN (
    SELECT id FROM mail_outbox WHERE state = 'waiting' AND next_attempt <= synnefo_now()
     AND (claimed_until IS NULL OR claimed_until <= synnefo_now())
    ORDER BY next_attempt, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}, sealed
"""
HELD = "id = %(id)s AND state = 'waiting' AND attempts = %(attempts)s"
END = f"""
UPDATE mail_outbox SET state = %(state)s, error = %(error)s, ended = synnefo_now(),
 claimed_until = NULL, sealed = CASE WHEN %(state)s = 'failed' THEN sealed END WHERE {HELD}
"""
PUT_OFF = f"""
UPDATE mail_outbox SET error = %(error)s, claimed_until = NULL,
 next_attempt = synnefo_now() + %(seconds)s * interval '1 second' WHERE {HELD}
"""
AGAIN = """
UPDATE mail_outbox SET state = 'waiting', attempts = 0, next_attempt = synnefo_now(), ended = NULL
WHERE id = %(id)s AND state = 'failed' AND sealed IS NOT NULL
RETURNING recipient
"""
LIST = f"""
SELECT {COLUMNS} FROM mail_outbox WHERE %(state)s::text IS NULL OR state = %(state)s
ORDER BY id DESC LIMIT %(limit)s
"""
COUNTS = """
SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state = 'sent'),
 count(*) FILTER (WHERE state = 'failed'),
 coalesce(extract(epoch FROM synnefo_now() - min(created) FILTER (WHERE state = 'waiting')),
  0)::float8
FROM mail_outbox
"""
SWEEP = """
DELETE FROM mail_outbox WHERE id IN (
    SELECT id FROM mail_outbox WHERE ended < synnefo_now() - %(days)s * interval '1 day'
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED)
"""


def from_row(row: Row) -> Mail:
    """A mail from COLUMNS."""
    return Mail(*row)


async def list_mails(database: Database, state: State | None, limit: int) -> list[Mail]:
    """The newest mails, of one state if that is said, the newest first."""
    rows = await database.read(LIST, {"state": state, "limit": limit})
    return [from_row(row) for row in rows]


async def counts(database: Database) -> Counts:
    """What is in the outbox."""
    return Counts(*(await database.read(COUNTS))[0])


class OutboxStore:
    """The outbox inside a transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def insert(self, template: str, to: Recipient, subject: str, sealed: bytes) -> int:
        """Add a mail; its id."""
        values: dict[str, Any] = {
            "template": template,
            "recipient": to.address,
            "recipient_name": to.name,
            "subject": subject,
            "sealed": sealed,
        }
        return int(await self._tx.value(INSERT, values))

    async def claim(self, limit: int, lease_seconds: float) -> Sequence[Claimed]:
        """Take mails that are due, for as long as the lease lasts."""
        values = {"limit": limit, "lease": lease_seconds}
        rows = await self._tx.rows(CLAIM, values)
        return [Claimed(from_row(row[:-1]), bytes(row[-1])) for row in rows]

    async def end(self, mail: Mail, state: str, error: str) -> bool:
        """Nothing more is done with a mail, and its text forgotten if it was sent; False if another
        has it by now."""
        values = {"id": mail.id, "attempts": mail.attempts, "state": state, "error": error}
        return bool(await self._tx.run(END, values))

    async def put_off(self, mail: Mail, seconds: float, error: str) -> bool:
        """Try a mail again later; False if another has it by now."""
        values = {"id": mail.id, "attempts": mail.attempts, "seconds": seconds, "error": error}
        return bool(await self._tx.run(PUT_OFF, values))

    async def again(self, id: int) -> str | None:
        """Try a mail again that was given up; its recipient, None if there is none such."""
        recipient: str | None = await self._tx.value(AGAIN, {"id": id})
        return recipient

    async def sweep(self, days: int, limit: int) -> int:
        """Delete mails that ended long ago; how many."""
        return await self._tx.run(SWEEP, {"days": days, "limit": limit})
