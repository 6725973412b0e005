"""What makes an account complete: the user and the system project, in one transaction."""

from __future__ import annotations

from datetime import datetime

from synnefo_tx.db.pool import Transaction
from synnefo_tx.identity.projects.model import NewProject
from synnefo_tx.identity.projects.store import ProjectStore
from synnefo_tx.identity.users.model import NewUser
from synnefo_tx.identity.users.store import UserStore

SYSTEM_PROJECT_YEARS = 100


async def register(tx: Transaction, user: NewUser) -> None:
    """Make a user with the system project, of which they are the only member.

    Raises UniqueViolation when the e-mail is taken.
    """
    await UserStore(tx).insert(user)
    now: datetime = await tx.value("SELECT synnefo_now()")
    # 29 February has no namesake in some years.
    end = now.replace(year=now.year + SYSTEM_PROJECT_YEARS, day=min(now.day, 28))
    projects = ProjectStore(tx)
    await projects.insert(NewProject(user.uuid, f"system:{user.uuid}", end))
    await projects.set_member(user.uuid, user.uuid, "accepted")
