"""SQL of projects and members."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import asdict

from synnefo_tx.db.pool import Transaction
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.identity.model import is_uuid
from synnefo_tx.identity.projects.model import NewProject, Project, ProjectChanges

INSERT = """
INSERT INTO projects (uuid, owner, name, realname, is_system, private, state, join_policy,
    leave_policy, max_members, quota_generation, end_date)
SELECT %(uuid)s, %(owner)s, %(name)s, %(realname)s, %(is_system)s, %(is_system)s, 'active',
    CASE WHEN %(is_system)s THEN 'closed' ELSE 'moderated' END,
    CASE WHEN %(is_system)s THEN 'closed' ELSE 'auto' END,
    CASE WHEN %(is_system)s THEN 1 ELSE 9223372036854775807 END,
    (SELECT max(generation) FROM resource_defaults), %(end_date)s
"""
UPSERT_MEMBER = """
INSERT INTO project_members (project, member, state, initialized)
VALUES (%(project)s, %(member)s, %(state)s,
    %(state)s NOT IN ('requested', 'rejected', 'cancelled'))
ON CONFLICT (project, member) DO UPDATE
    SET state = excluded.state,
        initialized = project_members.initialized OR excluded.initialized
"""
SELECT = """
SELECT p.uuid, p.id, p.owner, o.email, p.realname, p.homepage, p.description, p.is_system,
    p.private, p.state, p.join_policy, p.leave_policy, p.max_members, p.created, p.end_date,
    (SELECT count(*) FROM project_members m
     WHERE m.project = p.uuid AND m.state IN ('accepted', 'leave_requested', 'suspended'))
FROM projects p LEFT JOIN users o ON o.uuid = p.owner
"""
SELECT_ALL = SELECT + "ORDER BY p.id"
SELECT_ONE = SELECT + "WHERE p.uuid = %(uuid)s OR p.id = %(id)s"
LOCK_ONE = SELECT_ONE + " FOR NO KEY UPDATE OF p"
LOCK_TO_DELETE = "SELECT 1 FROM projects WHERE uuid = %(project)s FOR UPDATE"
# In the order of their numbers, as everybody who locks several.
LOCK_SYSTEM = """
SELECT uuid::text FROM projects
WHERE is_system AND state IN ('active', 'suspended') AND NOT uuid = ANY (%(excluded)s::uuid[])
ORDER BY id FOR NO KEY UPDATE
"""
# Shared against changes of the project; nothing where the user may not work in it.
SHARE_ACTIVE = """
SELECT p.uuid FROM projects p JOIN project_members m ON m.project = p.uuid
WHERE p.uuid = %(project)s AND m.member = %(user)s AND p.state = 'active'
AND m.state IN ('accepted', 'leave_requested') FOR SHARE OF p
"""
UPDATE = """
UPDATE projects SET realname = coalesce(%(name)s, realname),
    name = CASE WHEN name IS NULL THEN NULL ELSE coalesce(%(name)s, name) END,
    owner = coalesce(%(owner)s, owner), homepage = coalesce(%(homepage)s, homepage),
    description = coalesce(%(description)s, description),
    end_date = coalesce(%(end_date)s, end_date),
    join_policy = coalesce(%(join_policy)s, join_policy),
    leave_policy = coalesce(%(leave_policy)s, leave_policy),
    max_members = coalesce(%(max_members)s, max_members),
    private = coalesce(%(private)s, private)
WHERE uuid = ANY (%(projects)s::uuid[])
"""
UPSERT_LIMITS = """
INSERT INTO project_limits (project, resource, project_capacity, member_capacity)
SELECT project, %(resource)s, %(per_project)s, %(per_member)s
FROM unnest(%(projects)s::uuid[]) AS project ORDER BY project
ON CONFLICT (project, resource) DO UPDATE
    SET project_capacity = excluded.project_capacity, member_capacity = excluded.member_capacity
"""
HAS_RESOURCE = "SELECT EXISTS (SELECT FROM resources WHERE name = %(name)s)"
HOLD_NAME = "UPDATE projects SET name = %(name)s WHERE uuid = %(uuid)s"
# Who worked in the project by default works in their own again.
LEAVE_DEFAULT = """
UPDATE users SET default_project = uuid, updated = synnefo_now() WHERE uuid IN (
    SELECT uuid FROM users WHERE default_project = %(project)s ORDER BY id FOR NO KEY UPDATE)
"""
OWNED = "SELECT count(*) FROM projects WHERE owner = %(user)s"
# A holding without usage says nothing; another keeps its project here.
DELETE_EMPTY_HOLDINGS = """
DELETE FROM holdings
WHERE (project = %(project)s OR member = %(project)s) AND usage_min = 0 AND usage_max = 0
"""
IN_USE = """
SELECT EXISTS (SELECT FROM holdings WHERE project = %(project)s OR member = %(project)s)
"""
DELETE = "DELETE FROM projects WHERE uuid = %(project)s"
SELECT_MEMBERSHIPS = """
SELECT m.project, p.realname, m.member, u.email, m.state
FROM project_members m JOIN projects p ON p.uuid = m.project JOIN users u ON u.uuid = m.member
WHERE m.member = %(user)s OR m.project = %(project)s
ORDER BY m.id
"""
FIND_ACTIVE = """
SELECT p.uuid FROM project_members m JOIN projects p ON p.uuid = m.project
WHERE m.member = %(user)s AND m.state IN ('accepted', 'leave_requested') AND p.state = 'active'
AND (p.uuid::text = %(id)s OR p.realname = %(name)s)
ORDER BY p.id LIMIT 1
"""
SET_STATE = "UPDATE projects SET state = %(state)s WHERE uuid = %(uuid)s"
UPSERT_LIMIT = """
INSERT INTO project_limits (project, resource, project_capacity, member_capacity)
VALUES (%(project)s, %(resource)s, %(project_capacity)s, %(member_capacity)s)
ON CONFLICT (project, resource) DO UPDATE
    SET project_capacity = excluded.project_capacity, member_capacity = excluded.member_capacity
"""


def named(identifier: str) -> dict[str, Any]:
    """Parameters that find a project by uuid or number, whichever the text is."""
    by_id = identifier.isascii() and identifier.isdigit() and len(identifier) < 18
    return {
        "id": int(identifier) if by_id else None,
        "uuid": identifier.lower() if is_uuid(identifier.lower()) else None,
    }


def no_such_project(identifier: str) -> ItemNotFound:
    """The fault for a project that is not there."""
    return ItemNotFound(f"There is no project {identifier}")


class ProjectStore:
    """Projects within one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def insert(self, project: NewProject) -> None:
        """Make an active project under the newest defaults; one with an owner holds its name."""
        await self._tx.run(
            INSERT,
            {
                "uuid": project.uuid,
                "owner": project.owner,
                "name": None if project.is_system else project.realname,
                "realname": project.realname,
                "is_system": project.is_system,
                "end_date": project.end_date,
            },
        )

    async def set_member(self, project: str, member: str, state: str) -> None:
        """Bring a membership to a state, made if it is new."""
        await self._tx.run(UPSERT_MEMBER, {"project": project, "member": member, "state": state})

    async def find_active(self, user: str, id: str | None, name: str | None) -> str | None:
        """The active project of that id or name in which the user is accepted."""
        found = await self._tx.value(FIND_ACTIVE, {"user": user, "id": id, "name": name})
        return None if found is None else str(found)

    async def set_state(self, uuid: str, state: str) -> None:
        """Bring a project to a state."""
        await self._tx.run(SET_STATE, {"uuid": uuid, "state": state})

    async def lock(self, identifier: str) -> Project:
        """A project by uuid or number, locked; raises ItemNotFound."""
        row = await self._tx.row(LOCK_ONE, named(identifier))
        if row is None:
            raise no_such_project(identifier)
        return Project(*row)

    async def lock_system(self, excluded: Sequence[str]) -> list[str]:
        """All live system projects but some, locked; their uuids."""
        rows = await self._tx.rows(LOCK_SYSTEM, {"excluded": list(excluded)})
        return [row[0] for row in rows]

    async def share_active(self, project: str, user: str) -> bool:
        """Whether a user may work in a project, which stays so until the transaction ends."""
        wanted = {"project": project, "user": user}
        return await self._tx.value(SHARE_ACTIVE, wanted) is not None

    async def update(self, projects: Sequence[str], changes: ProjectChanges) -> None:
        """Change locked projects; raises UniqueViolation when the name is held, ItemNotFound for
        an unknown resource."""
        values = asdict(changes, recurse=False) | {"projects": list(projects)}
        limits = values.pop("limits")
        await self._tx.run(UPDATE, values)
        for limit in sorted(limits, key=lambda each: each.resource):
            if not await self._tx.value(HAS_RESOURCE, {"name": limit.resource}):
                raise ItemNotFound(f"There is no resource {limit.resource}")
            wanted = asdict(limit) | {"projects": list(projects)}
            await self._tx.run(UPSERT_LIMITS, wanted)

    async def hold_name(self, uuid: str, name: str | None) -> None:
        """Let a project hold its name, or free it; raises UniqueViolation when another does."""
        await self._tx.run(HOLD_NAME, {"uuid": uuid, "name": name})

    async def count_owned(self, user: str) -> int:
        """How many projects a user owns."""
        return int(await self._tx.value(OWNED, {"user": user}))

    async def lock_to_delete(self, uuid: str) -> None:
        """Lock a project also against charges that are new to it."""
        await self._tx.run(LOCK_TO_DELETE, {"project": uuid})

    async def delete_system(self, user: str) -> bool:
        """Remove a user's system project; False, and nothing, while something of theirs is
        charged."""
        wanted = {"project": user}
        await self._tx.run(DELETE_EMPTY_HOLDINGS, wanted)
        if await self._tx.value(IN_USE, wanted):
            return False
        await self._tx.run(DELETE, wanted)
        return True

    async def leave_default(self, project: str) -> None:
        """Let nobody have the project as the default one."""
        await self._tx.run(LEAVE_DEFAULT, {"project": project})

    async def set_limits(
        self, project: str, resource: str, project_capacity: int | None, member_capacity: int | None
    ) -> None:
        """Give a project limits of its own; None is the default of its generation."""
        await self._tx.run(
            UPSERT_LIMIT,
            {
                "project": project,
                "resource": resource,
                "project_capacity": project_capacity,
                "member_capacity": member_capacity,
            },
        )
