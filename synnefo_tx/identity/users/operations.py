"""Use cases of users: making, finding, changing."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, field, frozen

from synnefo_tx.caller import Caller
from synnefo_tx.db.pool import Database, Transaction, UniqueViolation
from synnefo_tx.faults import Conflict
from synnefo_tx.identity.projects.store import ProjectStore
from synnefo_tx.identity.secret import Entropy, new_password
from synnefo_tx.identity.sessions.store import SessionStore
from synnefo_tx.identity.tokens.model import IssuedToken
from synnefo_tx.identity.tokens.operations import Tokens
from synnefo_tx.identity.users import rules
from synnefo_tx.identity.users.model import CreatedUser, NewUser, User, UserChanges
from synnefo_tx.identity.users.passwords import Passwords, check_password
from synnefo_tx.identity.users.registration import register
from synnefo_tx.identity.users.store import (
    SELECT_ALL,
    SELECT_NAMED,
    SELECT_PROJECTS,
    UserStore,
    named,
    no_such_user,
    user_from_row,
)
from synnefo_tx.journal.record import changed_fields, record
from synnefo_tx.mail.model import Recipient
from synnefo_tx.mail.operations import Mails


@frozen
class ChangedUser:
    """A user after a change, with the secrets that were made, if any were."""

    user: User
    password: str | None = field(repr=False)
    token: IssuedToken | None


@frozen
class Users:
    """Makes, finds and changes users."""

    database: Database
    passwords: Passwords
    tokens: Tokens
    entropy: Entropy
    new_id: Callable[[], str]
    mails: Mails

    async def add(
        self,
        email: str,
        first_name: str,
        last_name: str,
        *,
        password: str | None = None,
        is_admin: bool = False,
        groups: tuple[str, ...] = (),
        accepted: bool = False,
    ) -> CreatedUser:
        """Make a user with the system project; without a password one is made up.

        Raises BadRequest for what cannot be a name, an e-mail or a password, Conflict when the
        e-mail is taken in any case.
        """
        rules.check_email(email)
        rules.check_name(first_name, "first name")
        rules.check_name(last_name, "last name")
        made_up = None if password is not None else new_password(self.entropy)
        if password is not None:
            check_password(password, email)
        hashed = await self.passwords.hash(password or made_up or "")
        user = NewUser(
            uuid=self.new_id(),
            email=email,
            first_name=first_name,
            last_name=last_name,
            password_hash=hashed,
            is_admin=is_admin,
            groups=groups,
            accepted=accepted,
        )
        try:
            async with self.database.transaction("user-add") as tx:
                await register(tx, user)
                await record(tx, "identity:user:create", "user", user.uuid, owner=user.uuid)
        except UniqueViolation:
            raise email_taken(email) from None
        return CreatedUser(user.uuid, made_up)

    async def get(self, identifier: str) -> User:
        """A user by id, uuid or e-mail; raises ItemNotFound."""
        rows = await self.database.read(SELECT_NAMED, named(identifier))
        if not rows:
            raise no_such_user(identifier)
        return user_from_row(rows[0])

    async def as_caller(self, identifier: str) -> Caller:
        """A user as who acts: for what the operator does in their name, under the rules that hold
        for them. Raises ItemNotFound."""
        user = await self.get(identifier)
        rows = await self.database.read(SELECT_PROJECTS, {"uuid": user.uuid})
        return Caller(
            user=user.uuid,
            email=user.email,
            name=user.realname,
            roles=frozenset(user.groups),
            projects=tuple(row[0] for row in rows),
            default_project=user.default_project,
        )

    async def list_all(self) -> list[User]:
        """Every user, in the order they were made."""
        return [user_from_row(row) for row in await self.database.read(SELECT_ALL)]

    async def modify(self, identifier: str, changes: UserChanges) -> ChangedUser:
        """Change a user, all or nothing.

        A new password ends all tokens and sessions, disabling all sessions; renewing ends
        the tokens and makes one. Raises ItemNotFound,
        BadRequest, or Conflict where the state does not allow the change or the e-mail is taken.
        """
        if changes.email is not None:
            rules.check_email(changes.email)
        password = new_password(self.entropy) if changes.renew_password else None
        if changes.password is not None:
            check_password(changes.password, changes.email or (await self.get(identifier)).email)
        chosen = password or changes.password
        hashed = None if chosen is None else await self.passwords.hash(chosen)
        try:
            async with self.database.transaction("user-modify") as tx:
                user, token = await self._modify(tx, identifier, changes, hashed)
        except UniqueViolation:
            raise email_taken(changes.email or "") from None
        return ChangedUser(user, password, token)

    async def delete(self, identifier: str) -> User:
        """Remove a user who was not accepted, with their system project; who it was.

        Raises ItemNotFound, or Conflict for one who was accepted, owns a project, or has something
        that is charged.
        """
        uuid = (await self.get(identifier)).uuid
        async with self.database.transaction("user-delete") as tx:
            projects = ProjectStore(tx)
            await projects.lock_to_delete(uuid)
            user = await UserStore(tx).lock(uuid)
            if rules.is_accepted(user):
                raise Conflict("Only users who were not accepted are deleted: see --set-inactive")
            if await projects.count_owned(uuid):
                raise Conflict("The user owns projects")
            await UserStore(tx).delete(uuid)
            if not await projects.delete_system(uuid):
                raise Conflict("The user has things that are charged")
            await record(tx, "identity:user:delete", "user", uuid, owner=uuid)
        return user

    async def renew_password(self, identifier: str) -> str:
        """Give a user a password that is made up, and return it; ends all tokens."""
        changed = await self.modify(identifier, UserChanges(renew_password=True))
        return changed.password or ""

    async def _modify(
        self, tx: Transaction, identifier: str, changes: UserChanges, hashed: str | None
    ) -> tuple[User, IssuedToken | None]:
        store = UserStore(tx)
        if changes.default_project is not None:
            # Projects are locked before users.
            member = await store.uuid_of(identifier)
            if not await ProjectStore(tx).share_active(changes.default_project, member):
                raise Conflict("The default project is an active one that the user is in")
        user = await store.lock(identifier)
        if changes.state is not None:
            user = rules.changed(user, changes.state, changes.reason)
        groups = (set(user.groups) | set(changes.add_groups)) - set(changes.delete_groups)
        user = evolve(
            user,
            email=user.email if changes.email is None else changes.email,
            is_admin=user.is_admin if changes.is_admin is None else changes.is_admin,
            groups=tuple(sorted(groups)),
            default_project=changes.default_project or user.default_project,
        )
        await store.update(user)
        if hashed is not None:
            await store.set_password(user.uuid, hashed)
            await self.tokens.revoke_all(tx, user.uuid)
        if hashed is not None or not user.is_active:
            await SessionStore(tx).delete_all(user.uuid)
        token = await self.tokens.renew(tx, user.uuid) if changes.renew_token else None
        if changes.state == "accept":
            to = Recipient(user.email, user.realname)
            await self.mails.queue(tx, to, "welcome", {"name": user.realname})
        names = [changes.state or "", *changed_fields(evolve(changes, state=None))]
        details = ", ".join(filter(None, names))
        await record(
            tx, "identity:user:modify", "user", user.uuid, owner=user.uuid, details=details
        )
        return user, token


def email_taken(email: str) -> Conflict:
    """The fault for an e-mail that somebody has."""
    return Conflict(f"There is a user with the e-mail {email}")
