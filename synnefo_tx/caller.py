"""Who acts: the value that every operation is given."""

from __future__ import annotations

from attrs import frozen

ADMIN_ROLE = "admin"


@frozen
class Caller:
    """An authenticated user, with the projects whose shared things they see.

    ``sees_all`` is for the operator's own commands: an administrator who uses the API as a user
    sees what is theirs, as in the original. ``token_id`` or ``session_id`` is what let them in.
    """

    user: str
    email: str = ""
    name: str = ""
    roles: frozenset[str] = frozenset()
    projects: tuple[str, ...] = ()
    default_project: str = ""
    token_id: int = 0
    session_id: int = 0
    sees_all: bool = False

    @property
    def is_operator(self) -> bool:
        """Whether the caller has the role of an administrator."""
        return ADMIN_ROLE in self.roles


OPERATOR = Caller(user="", name="operator", roles=frozenset([ADMIN_ROLE]), sees_all=True)
