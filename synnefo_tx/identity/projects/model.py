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


@frozen
class Project:
    """A project as stored."""

    uuid: str
    id: int
    owner: str | None
    owner_email: str | None
    realname: str
    homepage: str
    description: str
    is_system: bool
    private: bool
    state: str
    join_policy: str
    leave_policy: str
    max_members: int
    created: datetime
    end_date: datetime
    members: int

    @property
    def is_gone(self) -> bool:
        """Whether the project is over."""
        return self.state in ("terminated", "deleted")


@frozen
class LimitChange:
    """New limits of a resource: of each member, and of the project as a whole."""

    resource: str
    per_member: int
    per_project: int


@frozen
class ProjectChanges:
    """What an operator changes of a project; None leaves as is. ``owner`` is a user's uuid."""

    name: str | None = None
    owner: str | None = None
    homepage: str | None = None
    description: str | None = None
    end_date: datetime | None = None
    join_policy: str | None = None
    leave_policy: str | None = None
    max_members: int | None = None
    private: bool | None = None
    limits: tuple[LimitChange, ...] = ()


@frozen
class Membership:
    """A user in a project."""

    project: str
    project_name: str
    member: str
    member_email: str
    state: str
