"""Values of users."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from attrs import field, frozen


@frozen
class NewUser:
    """A user as it is made; ``accepted`` ones may log in at once."""

    uuid: str
    email: str
    first_name: str
    last_name: str
    password_hash: str | None = field(default=None, repr=False)
    is_admin: bool = False
    groups: tuple[str, ...] = ()
    accepted: bool = False


@frozen
class User:
    """A user as stored, without the password."""

    id: int
    uuid: str
    email: str
    username: str
    first_name: str
    last_name: str
    is_active: bool
    is_admin: bool
    groups: tuple[str, ...]
    email_verified: bool
    moderated: bool
    is_rejected: bool
    rejected_reason: str
    deactivated_reason: str
    default_project: str
    date_joined: datetime
    updated: datetime
    last_login: datetime | None
    token_expires: datetime | None

    @property
    def realname(self) -> str:
        """First and last name."""
        return f"{self.first_name} {self.last_name}".strip()


@frozen
class UserChanges:
    """What an operator changes of a user; None leaves as is."""

    state: Literal["verify", "accept", "reject", "activate", "deactivate"] | None = None
    reason: str = ""
    email: str | None = None
    is_admin: bool | None = None
    add_groups: tuple[str, ...] = ()
    delete_groups: tuple[str, ...] = ()
    password: str | None = field(default=None, repr=False)
    renew_password: bool = False
    renew_token: bool = False
    default_project: str | None = None


@frozen
class CreatedUser:
    """A user just made, with the password that was made up, if one was."""

    uuid: str
    password: str | None = field(repr=False)


@frozen
class Credentials:
    """What a log-in is compared with."""

    uuid: str
    password_hash: str | None = field(repr=False)
