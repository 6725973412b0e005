"""Who acts: the value that every operation is given."""

from __future__ import annotations

from attrs import frozen

ADMIN_ROLE = "admin"


@frozen
class Caller:
    """An authenticated user, with the projects whose shared things they see."""

    user: str
    email: str = ""
    name: str = ""
    roles: frozenset[str] = frozenset()
    projects: tuple[str, ...] = ()
    default_project: str = ""
    token_id: int = 0

    @property
    def is_operator(self) -> bool:
        """Whether the caller may see and change what belongs to others."""
        return ADMIN_ROLE in self.roles


OPERATOR = Caller(user="", name="operator", roles=frozenset([ADMIN_ROLE]))
