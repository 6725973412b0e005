"""Values of users."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen


@frozen
class NewUser:
    """A user as it is made; ``accepted`` ones may log in at once."""

    uuid: str
    email: str
    first_name: str
    last_name: str
    password_hash: str | None = None
    is_admin: bool = False
    groups: tuple[str, ...] = ()
    accepted: bool = False

    @property
    def username(self) -> str:
        """The name to log in with."""
        return self.email.lower()


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
