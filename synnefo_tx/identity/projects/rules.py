"""What a project may be, and the states it goes through (identity reference §1.3, §2.3). Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal

from synnefo_tx.faults import BadRequest, Conflict
from synnefo_tx.identity.projects.model import LimitChange, Project, ProjectChanges
from synnefo_tx.identity.quota.model import INFINITE

NAME_MAX_CHARACTERS = 80
HOMEPAGE_MAX_CHARACTERS = 255
DESCRIPTION_MAX_CHARACTERS = 4096
POLICIES = ("auto", "moderated", "closed")
NAME = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,6}\Z")

Control = Literal["suspend", "unsuspend", "terminate", "reinstate"]
_FROM: dict[Control, tuple[str, ...]] = {
    "suspend": ("active",),
    "unsuspend": ("suspended",),
    "terminate": ("active", "suspended"),
    "reinstate": ("terminated",),
}
_TO: dict[Control, str] = {
    "suspend": "suspended",
    "unsuspend": "active",
    "terminate": "terminated",
    "reinstate": "active",
}
HOLDS_NAME = frozenset({"active", "suspended"})


def check_changes(changes: ProjectChanges, now: datetime) -> None:
    """Raise BadRequest for what no project may have."""
    name = changes.name
    if name is not None and (len(name) > NAME_MAX_CHARACTERS or not NAME.match(name)):
        raise BadRequest("A project's name looks like a host's: lab.example.org")
    for text, most, what in (
        (changes.homepage, HOMEPAGE_MAX_CHARACTERS, "homepage"),
        (changes.description, DESCRIPTION_MAX_CHARACTERS, "description"),
    ):
        if text is not None and (len(text) > most or "\x00" in text):
            raise BadRequest(f"The {what} has at most {most} characters")
    for policy in (changes.join_policy, changes.leave_policy):
        if policy is not None and policy not in POLICIES:
            raise BadRequest(f"A policy is one of {', '.join(POLICIES)}")
    if changes.end_date is not None and changes.end_date <= now:
        raise BadRequest("A project ends in the future")
    if changes.max_members is not None and not 0 <= changes.max_members <= INFINITE:
        raise BadRequest("max_members is a number from 0, or inf")
    for limit in changes.limits:
        check_limit(limit)


def check_limit(limit: LimitChange) -> None:
    """Raise BadRequest unless a member's limit is no more than the project's."""
    if not 0 <= limit.per_member <= limit.per_project <= INFINITE:
        raise BadRequest(
            f"{limit.resource}: the limit of a member is at least 0 and at most the project's"
        )


def check_modifiable(project: Project, changes: ProjectChanges) -> None:
    """Raise Conflict for a project that takes no such change."""
    if project.state not in ("active", "suspended", "terminated"):
        raise Conflict(f"The project is {project.state}")
    own = (changes.name, changes.owner, changes.homepage, changes.description)
    if project.is_system and any(each is not None for each in own):
        raise Conflict("A system project keeps its name, owner, homepage and description")


def state_after(project: Project, control: Control) -> str:
    """The state that a project is brought to; raises Conflict where that cannot be."""
    if control == "terminate" and project.is_system:
        raise Conflict("A system project ends with its user")
    if project.state not in _FROM[control]:
        raise Conflict(f"Cannot {control} a project that is {project.state}")
    return _TO[control]


def is_expired(project: Project, now: datetime) -> bool:
    """Whether a project that goes on should have ended."""
    return project.state in HOLDS_NAME and project.end_date < now
