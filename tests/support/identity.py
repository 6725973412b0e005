"""Users and projects for tests, made through the stores."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from synnefo_tx.db.pool import Database
from synnefo_tx.identity.projects.model import NewProject
from synnefo_tx.identity.projects.store import ProjectStore
from synnefo_tx.identity.users.model import NewUser
from synnefo_tx.identity.users.registration import register

FAR = datetime(2100, 1, 1, tzinfo=UTC)


async def make_user(database: Database, email: str, **fields: object) -> str:
    """An accepted user with a system project; the uuid."""
    user = NewUser(**{  # type: ignore[arg-type]
        "uuid": str(uuid.uuid4()), "email": email, "first_name": "First", "last_name": "Last",
        "accepted": True, **fields,
    })  # fmt: skip
    async with database.transaction("make-user") as tx:
        await register(tx, user)
    return user.uuid


async def make_project(
    database: Database,
    owner: str,
    members: list[str],
    limits: dict[str, tuple[int | None, int | None]],
    name: str | None = None,
) -> str:
    """An active project; limits are (project, member) by resource."""
    project = str(uuid.uuid4())
    async with database.transaction("make-project") as tx:
        store = ProjectStore(tx)
        await store.insert(NewProject(project, name or f"{project[:8]}.example.org", FAR, owner))
        for member in members:
            await store.set_member(project, member, "accepted")
        for resource, (whole, each) in limits.items():
            await store.set_limits(project, resource, whole, each)
    return project
