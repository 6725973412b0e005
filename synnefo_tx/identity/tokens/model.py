"""Values of API tokens."""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen

from synnefo_tx.identity.access.model import Access


@frozen
class IssuedToken:
    """A token at the only moment when its secret is known."""

    id: int
    secret: str = field(repr=False)
    created: datetime
    expires: datetime


@frozen
class LoginName:
    """Who somebody says they are: a uuid or an e-mail."""

    uuid: str | None = None
    email: str | None = None


@frozen
class Scope:
    """The project that a token is asked for: by id, by name, none, or what is the default."""

    project_id: str | None = None
    project_name: str | None = None
    unscoped: bool = False


@frozen
class LoggedIn:
    """A new token, what it stands for, and whether its project is to be told."""

    secret: str = field(repr=False)
    access: Access
    scoped: bool
