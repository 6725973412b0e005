"""Values of sessions."""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen

from synnefo_tx.identity.access.model import Access


@frozen
class Session:
    """A browser in which a user is signed in, as the user and operators see it."""

    id: int
    user: str
    created: datetime
    last_used: datetime
    address: str
    browser: str


@frozen
class Visitor:
    """Who signs in from where: the address, what the browser says it is, and the value of the
    session that it had until now, if any."""

    address: str
    browser: str = ""
    value: str | None = field(default=None, repr=False)


@frozen
class SignedIn:
    """A new session at the only moment when the cookie's value is known."""

    value: str = field(repr=False)
    access: Access
