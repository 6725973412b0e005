"""Writing the journal: the one way, inside the transaction that acts.

A transaction writes one row, whatever it changes. Nothing secret is written: an action has a name,
an object and a few words that its caller chose for them.
"""

from __future__ import annotations

from typing import Any

from attrs import NOTHING, fields

from synnefo_tx.db.pool import Hot, Transaction
from synnefo_tx.journal.acting import Actor, acting
from synnefo_tx.journal.model import DONE, Kind
from synnefo_tx.log import request_id

DETAILS_MAX = 1000

INSERT = Hot("""
INSERT INTO journal (at, actor, remote, request, action, kind, object, owner, project, details,
 operation, result)
VALUES (synnefo_now(), %(actor)s, %(remote)s, %(request)s, %(action)s, %(kind)s, %(object)s,
 %(owner)s, %(project)s, %(details)s, %(operation)s, %(result)s)
""")
INSERT_END = Hot("""
INSERT INTO journal (at, is_end, actor, action, kind, object, details, operation, result)
VALUES (synnefo_now(), true, 'system', '', '', '', %(details)s, %(operation)s, %(result)s)
""")


async def record(
    tx: Transaction,
    action: str,
    kind: Kind,
    object: object = "",
    *,
    owner: str | None = "",
    project: str | None = "",
    details: str = "",
    operation: str = "",
    actor: Actor | None = None,
    result: str = DONE,
) -> None:
    """Write that ``action`` (``server:start``) was done to an object in this transaction.

    With an ``operation`` (an intent's id) it was only begun, and ``record_end`` says what came of
    it. ``actor`` is given where who acts becomes known in this transaction.
    """
    who = actor or acting.get()
    await tx.run(
        INSERT,
        {
            "actor": who.name,
            "remote": who.remote,
            "request": request_id.get(),
            "action": action,
            "kind": kind,
            "object": str(object),
            "owner": owner or "",
            "project": project or "",
            "details": shortened(details),
            "operation": operation,
            "result": "" if operation else result,
        },
    )


async def record_end(tx: Transaction, operation: str, result: str, details: str = "") -> None:
    """Write what came of an operation, in the transaction that settles it."""
    await tx.run(
        INSERT_END, {"operation": operation, "result": result, "details": shortened(details)}
    )


def changed_fields(changes: Any) -> list[str]:
    """The names of what a value of changes asks for: fields that differ from their defaults. What
    they hold is not told: it may be secret."""
    return [
        each.name
        for each in fields(type(changes))
        if each.default is not NOTHING and getattr(changes, each.name) != each.default
    ]


def shortened(text: str) -> str:
    """At most ``DETAILS_MAX`` characters, none of which PostgreSQL refuses."""
    return text.replace("\0", "")[:DETAILS_MAX]
