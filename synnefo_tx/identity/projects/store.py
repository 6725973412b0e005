"""SQL of projects and members."""

from __future__ import annotations

from synnefo_tx.db.pool import Transaction
from synnefo_tx.identity.projects.model import NewProject

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
