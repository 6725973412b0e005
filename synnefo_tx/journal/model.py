"""What the journal says."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from attrs import frozen

Kind = Literal[
    "server", "network", "port", "project", "user", "token", "resource", "backend", "flavor",
    "volume-type", "image", "pool", "quota", "mail", "session", "key",
    "stream",
]  # fmt: skip
DONE = "done"


@frozen
class Entry:
    """Something that was done, or begun: ``result`` is empty and ``ended`` None while it goes on.

    ``actor`` is a user's uuid, ``operator:<login>`` for a command, ``system`` for what happened by
    itself, or empty for somebody unknown. ``owner`` is the user whose thing it is, on whose behalf
    an operator acts. ``error`` is what a failed job said, for operators.
    """

    id: int
    at: datetime
    actor: str
    remote: str
    request: str
    action: str
    kind: str
    object: str
    owner: str
    project: str
    details: str
    operation: str
    result: str
    ended: datetime | None
    error: str = ""


@frozen
class Scope:
    """Which entries are asked for, and what the asker may see.

    Without ``sees_all`` entries about things of ``user``, and about the projects themselves of
    which ``projects`` are those of the user. ``owner`` and ``actor`` are for who sees all: whose
    things, done by whom.
    """

    user: str = ""
    projects: tuple[str, ...] = ()
    sees_all: bool = False
    kind: str | None = None
    object: str | None = None
    project: str | None = None
    before: int | None = None
    owner: str | None = None
    actor: str | None = None
