"""Use cases of projects: finding and listing them and their members."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.db.pool import Database
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.identity.model import is_uuid
from synnefo_tx.identity.projects.model import Membership, Project
from synnefo_tx.identity.projects.store import SELECT_ALL, SELECT_MEMBERSHIPS, SELECT_ONE


@frozen
class Projects:
    """Finds and lists projects."""

    database: Database

    async def list_all(self) -> list[Project]:
        """Every project, in the order they were made."""
        return [Project(*row) for row in await self.database.read(SELECT_ALL)]

    async def get(self, identifier: str) -> Project:
        """A project by uuid or number; raises ItemNotFound."""
        by_id = identifier.isascii() and identifier.isdigit() and len(identifier) < 18
        wanted = {
            "id": int(identifier) if by_id else None,
            "uuid": identifier.lower() if is_uuid(identifier.lower()) else None,
        }
        rows = await self.database.read(SELECT_ONE, wanted)
        if not rows:
            raise ItemNotFound(f"There is no project {identifier}")
        return Project(*rows[0])

    async def list_memberships(self, user: str) -> list[Membership]:
        """The memberships of a user."""
        rows = await self.database.read(SELECT_MEMBERSHIPS, {"user": user, "project": None})
        return [Membership(*row) for row in rows]

    async def list_members(self, project: str) -> list[Membership]:
        """The members of a project, in any state."""
        rows = await self.database.read(SELECT_MEMBERSHIPS, {"user": None, "project": project})
        return [Membership(*row) for row in rows]
