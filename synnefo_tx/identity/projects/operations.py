"""Use cases of projects: finding and listing them and their members, changing them.

A change locks the project's row, then those of users. Limits are read where they are charged, so
a change holds for every charge that begins after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from attrs import evolve, frozen

from synnefo_tx.db.pool import Database, Transaction, UniqueViolation
from synnefo_tx.db.transaction import BULK_SECONDS
from synnefo_tx.faults import Conflict
from synnefo_tx.identity.projects import rules
from synnefo_tx.identity.projects.model import Membership, Project, ProjectChanges
from synnefo_tx.identity.projects.rules import Control
from synnefo_tx.identity.projects.store import (
    SELECT_ALL,
    SELECT_MEMBERSHIPS,
    SELECT_ONE,
    ProjectStore,
    named,
    no_such_project,
)
from synnefo_tx.identity.users.rules import is_accepted
from synnefo_tx.identity.users.store import UserStore
from synnefo_tx.journal.record import changed_fields, record

NOW = "SELECT synnefo_now()"


@frozen
class Projects:
    """Finds, lists and changes projects."""

    database: Database

    async def list_all(self) -> list[Project]:
        """Every project, in the order they were made."""
        return [Project(*row) for row in await self.database.read(SELECT_ALL)]

    async def get(self, identifier: str) -> Project:
        """A project by uuid or number; raises ItemNotFound."""
        rows = await self.database.read(SELECT_ONE, named(identifier))
        if not rows:
            raise no_such_project(identifier)
        return Project(*rows[0])

    async def list_memberships(self, user: str) -> list[Membership]:
        """The memberships of a user."""
        rows = await self.database.read(SELECT_MEMBERSHIPS, {"user": user, "project": None})
        return [Membership(*row) for row in rows]

    async def list_members(self, project: str) -> list[Membership]:
        """The members of a project, in any state."""
        rows = await self.database.read(SELECT_MEMBERSHIPS, {"user": None, "project": project})
        return [Membership(*row) for row in rows]

    async def expired(self) -> list[Project]:
        """Projects that go on and should have ended."""
        now: datetime = (await self.database.read(NOW))[0][0]
        return [each for each in await self.list_all() if rules.is_expired(each, now)]

    async def modify(self, identifier: str, changes: ProjectChanges) -> Project:
        """Change a project at once, all that is asked for or nothing.

        Raises ItemNotFound, BadRequest, or Conflict where the project takes no such change, its
        name is held, or its owner is not accepted.
        """
        try:
            async with self.database.transaction(
                "project-modify", limit_seconds=BULK_SECONDS
            ) as tx:
                rules.check_changes(changes, await tx.value(NOW))
                store = ProjectStore(tx)
                project = await store.lock(identifier)
                rules.check_modifiable(project, changes)
                await self._check_owner(tx, changes)
                await store.update([project.uuid], changes)
                await journaled(tx, "identity:project:modify", project, described(changes))
        except UniqueViolation:
            raise name_held(changes.name or "") from None
        return await self.get(project.uuid)

    async def modify_system(self, changes: ProjectChanges, excluded: Sequence[str]) -> int:
        """Change all system projects but those of some users; how many. Raises as ``modify``."""
        async with self.database.transaction("project-modify", limit_seconds=BULK_SECONDS) as tx:
            rules.check_changes(changes, await tx.value(NOW))
            store = ProjectStore(tx)
            projects = await store.lock_system(excluded)
            await store.update(projects, changes)
            details = f"{len(projects)} system projects: {described(changes)}"
            await record(tx, "identity:project:modify", "project", details=details)
        return len(projects)

    async def _check_owner(self, tx: Transaction, changes: ProjectChanges) -> None:
        if changes.owner is not None:
            owner = await UserStore(tx).lock(changes.owner)
            if not is_accepted(owner):
                raise Conflict("A project's owner is an accepted user")

    async def control(self, identifier: str, control: Control) -> Project:
        """Suspend, unsuspend, terminate or reinstate a project.

        A project that does not go on gives nobody anything; a terminated one frees its name, and
        its members' default project is their own again. Raises ItemNotFound, or Conflict where its
        state does not allow it or its name is held by another.
        """
        project = await self.get(identifier)
        try:
            async with self.database.transaction(f"project-{control}") as tx:
                store = ProjectStore(tx)
                project = await store.lock(project.uuid)
                state = rules.state_after(project, control)
                await journaled(tx, f"identity:project:{control}", project)
                await store.set_state(project.uuid, state)
                if control == "terminate":
                    await store.hold_name(project.uuid, None)
                    await store.leave_default(project.uuid)
                if control == "reinstate":
                    await store.hold_name(project.uuid, project.realname)
        except UniqueViolation:
            raise name_held(project.realname) from None
        return await self.get(project.uuid)


async def journaled(tx: Transaction, action: str, project: Project, details: str = "") -> None:
    """Write in the journal what was done to a project."""
    await record(
        tx,
        action,
        "project",
        project.uuid,
        owner=project.owner,
        project=project.uuid,
        details=details,
    )


def described(changes: ProjectChanges) -> str:
    """The names of what is changed, with limits as they become."""
    named = changed_fields(evolve(changes, limits=()))
    limits = [f"{each.resource} {each.per_member} {each.per_project}" for each in changes.limits]
    return ", ".join([*named, *limits])


def name_held(name: str) -> Conflict:
    """The fault for a name that another project holds."""
    return Conflict(f"There is a project with the name {name}")
