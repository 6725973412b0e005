"""Intents: what we ask of a cluster, written down before it is asked; and news about jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from attrs import field, frozen

REASON_PREFIX = "synnefo:"
INTENT_TAG_PREFIX = "cyclades:system:intent:"

FINAL = frozenset({"success", "error", "canceled", "lost", "refused", "expired"})


def reason_of(intent: str) -> str:
    """The text that Ganeti keeps in the job of an intent."""
    return REASON_PREFIX + intent


@frozen
class Draft:
    """An intent to be: one call of RAPI on behalf of ``subject`` (``server:12``).

    ``after`` names intents whose jobs this one's job waits for. ``arguments`` go to the database
    and hold no secret.
    """

    id: str
    backend: int
    subject: str
    instance: str
    opcode: str
    call: str
    arguments: dict[str, Any] = field(factory=dict)
    after: tuple[str, ...] = ()
    limit_seconds: float = 6 * 3600.0


@frozen
class Intent:
    """A written intent and how far it got."""

    id: str
    backend: int
    subject: str
    instance: str
    opcode: str
    call: str
    arguments: dict[str, Any]
    after: list[str]
    request_id: str
    created: datetime
    deadline: datetime
    last_job_id: int
    attempts: int
    attempted: datetime | None
    absent_since: datetime | None
    job_id: int | None
    job_status: str
    outcome: str | None
    ended: datetime | None
    error: str


@frozen
class JobNews:
    """What became known of a job, from whatever source.

    ``status`` is Ganeti's, or one of ours: ``refused`` (the cluster said no), ``lost`` (never
    submitted, or gone without a trace), ``expired`` (beyond its deadline). ``event_time`` is the
    cluster's clock where it is known, else ours.
    """

    backend: int
    instance: str
    opcode: str
    status: str
    event_time: datetime
    job_id: int | None = None
    intent: str | None = None
    error: str = ""
    log: str = ""

    @property
    def final(self) -> bool:
        """Whether nothing more will come of the job."""
        return self.status in FINAL
