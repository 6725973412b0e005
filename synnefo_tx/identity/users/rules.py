"""The states of a user and what leads from one to another (identity reference §2.1). Pure."""

from __future__ import annotations

import re
from typing import Literal

from attrs import evolve

from synnefo_tx.faults import BadRequest, Conflict
from synnefo_tx.identity.users.model import User

StateChange = Literal["verify", "accept", "reject", "activate", "deactivate"]

EMAIL_MAX_CHARACTERS = 254
NAME_MAX_CHARACTERS = 255
EMAIL = re.compile(r"[^\s@\x00-\x1f\x7f<>\"'(),:;\[\]\\]{1,64}@[A-Za-z0-9.-]{1,253}\Z")


def check_email(email: str) -> None:
    """Raise BadRequest unless this looks like an e-mail address."""
    domain = email.rpartition("@")[2]
    labels_fit = all(
        label and not label.startswith("-") and not label.endswith("-")
        for label in domain.split(".")
    )
    if len(email) > EMAIL_MAX_CHARACTERS or not EMAIL.match(email) or not labels_fit:
        raise BadRequest("The e-mail address is not valid")


def check_name(name: str, what: str) -> None:
    """Raise BadRequest for a name that is too long or holds control characters."""
    if len(name) > NAME_MAX_CHARACTERS or not name.isprintable():
        raise BadRequest(
            f"The {what} has at most {NAME_MAX_CHARACTERS} characters and none that cannot be seen"
        )


def is_accepted(user: User) -> bool:
    """Whether the user may be active."""
    return user.email_verified and user.moderated and not user.is_rejected


def status(user: User) -> str:
    """The state of the user in words."""
    if not user.email_verified:
        return "Pending email verification"
    if not user.moderated:
        return "Pending moderation"
    if user.is_rejected:
        return f"Rejected ({user.rejected_reason})" if user.rejected_reason else "Rejected"
    if user.is_active:
        return "Accepted/Active"
    reason = f" ({user.deactivated_reason})" if user.deactivated_reason else ""
    return f"Accepted/Inactive{reason}"


def changed(user: User, change: StateChange, reason: str = "") -> User:
    """The user after a change of state; raises Conflict where it does not apply."""
    if change == "verify" and not user.email_verified:
        return evolve(user, email_verified=True)
    moderable = user.email_verified and (not user.moderated or user.is_rejected)
    if change == "accept" and moderable:
        return evolve(user, moderated=True, is_rejected=False, rejected_reason="", is_active=True)
    if change == "reject" and user.email_verified and not user.moderated and not user.is_active:
        return evolve(user, moderated=True, is_rejected=True, rejected_reason=reason)
    if change == "activate" and is_accepted(user) and not user.is_active:
        return evolve(user, is_active=True, deactivated_reason="")
    if change == "deactivate" and is_accepted(user):
        return evolve(user, is_active=False, deactivated_reason=reason)
    raise Conflict(f"Cannot {change} a user who is: {status(user)}")
