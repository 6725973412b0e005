"""Values of projects."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen


@frozen
class NewProject:
    """A project as it is made; a system project has its user's uuid and no owner."""

    uuid: str
    realname: str
    end_date: datetime
    owner: str | None = None

    @property
    def is_system(self) -> bool:
        """Whether it is the project that a user got with the account."""
        return self.owner is None
