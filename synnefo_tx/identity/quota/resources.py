"""The resources that are counted and their default limits.

Defaults are kept by generation: a project keeps those it began under, so a change holds for
projects that begin later (identity reference §5, resource-modify).
"""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.db.pool import Database
from synnefo_tx.faults import BadRequest, ItemNotFound
from synnefo_tx.identity.quota.model import Resource, ResourceChanges
from synnefo_tx.journal.record import record

SELECT = """
SELECT r.id, r.name, r.unit, r.description, r.service_type, r.service, r.ui_visible,
    r.api_visible, d.system_default, d.project_default
FROM resources r
JOIN resource_defaults d ON d.resource = r.name
    AND d.generation = (SELECT max(generation) FROM resource_defaults)
ORDER BY r.id
"""
# Two changes at once would make the same generation.
LOCK = "LOCK TABLE resource_defaults IN SHARE ROW EXCLUSIVE MODE"
INSERT_GENERATION = """
INSERT INTO resource_defaults (generation, resource, system_default, project_default)
SELECT generation + 1, resource,
    CASE WHEN resource = %(name)s THEN coalesce(%(system_default)s, system_default)
        ELSE system_default END,
    CASE WHEN resource = %(name)s THEN coalesce(%(project_default)s, project_default)
        ELSE project_default END
FROM resource_defaults WHERE generation = (SELECT max(generation) FROM resource_defaults)
"""
SET_VISIBLE = """
UPDATE resources SET
    api_visible = coalesce(%(api_visible)s, coalesce(%(ui_visible)s, false) OR api_visible),
    ui_visible = coalesce(%(ui_visible)s, coalesce(%(api_visible)s, true) AND ui_visible)
WHERE name = %(name)s
"""


@frozen
class Resources:
    """Lists and changes resources."""

    database: Database

    async def list_all(self) -> list[Resource]:
        """Every resource with the newest defaults."""
        return [Resource(*row) for row in await self.database.read(SELECT)]

    async def units(self) -> dict[str, str | None]:
        """The unit of every resource."""
        return {each.name: each.unit for each in await self.list_all()}

    async def modify(self, name: str, changes: ResourceChanges) -> None:
        """Change defaults, for projects to come, and visibility; raises ItemNotFound,
        or BadRequest for what the page shows and the API hides.

        What the user interface shows the API shows too: setting one flag sets the other where it
        must.
        """
        if changes.ui_visible and changes.api_visible is False:
            raise BadRequest("What the user interface shows, the API must show")
        limits = {"system_default": changes.system_default}
        limits["project_default"] = changes.project_default
        visible = {"api_visible": changes.api_visible, "ui_visible": changes.ui_visible}
        async with self.database.transaction("resource-modify") as tx:
            if any(value is not None for value in limits.values()):
                await tx.run(LOCK)
                await tx.run(INSERT_GENERATION, {"name": name} | limits)
            if not await tx.run(SET_VISIBLE, {"name": name} | visible):
                raise ItemNotFound(f"There is no resource {name}")
            asked = limits | visible
            details = ", ".join(key for key in asked if asked[key] is not None)
            await record(tx, "identity:resource:modify", "resource", name, details=details)
