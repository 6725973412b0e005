"""Making, finding and changing users."""

from __future__ import annotations

from synnefo_tx.faults import BadRequest, Conflict, ItemNotFound, Unauthorized
from synnefo_tx.identity.quota.operations import Quota
from synnefo_tx.identity.tokens.model import LoginName, Scope
from synnefo_tx.identity.users.model import UserChanges
from tests.support.accounts import accounts
from tests.support.database import DatabaseTestCase
from tests.support.identity import make_project

PASSWORD = "correct horse battery"


class UsersTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.identity = accounts(self.database)
        self.users = self.identity.users

    async def add(self, email: str = "Alice@Example.org", **options) -> str:
        options = {"password": PASSWORD, "accepted": True} | options
        return (await self.users.add(email, "Al", "Ice", **options)).uuid

    async def login(self, password: str = PASSWORD):
        name = LoginName(email="alice@example.org")
        return await self.identity.logins.by_password(name, password, "127.0.0.1", Scope())

    async def test_system_project(self) -> None:
        """A new user has a system project of the same id, with the default limits."""
        user = await self.add()
        (row,) = await self.database.read(
            "SELECT uuid, realname, owner, state, max_members, name, join_policy FROM projects"
        )
        self.assertEqual(row, (user, f"system:{user}", None, "active", 1, None, "closed"))
        self.assertEqual(list(await Quota(self.database).listing(user)), [user])

    async def test_found_by(self) -> None:
        """A user is found by id, uuid and e-mail in any case; nothing else is."""
        uuid = await self.add()
        by_uuid = await self.users.get(uuid)
        for identifier in (str(by_uuid.id), uuid.upper(), "ALICE@EXAMPLE.ORG"):
            self.assertEqual(await self.users.get(identifier), by_uuid)
        self.assertEqual(by_uuid.email, "Alice@Example.org")
        for identifier in ("99", "9" * 40, "bob@example.org", "", "' OR true --", "²"):
            with self.assertRaises(ItemNotFound):
                await self.users.get(identifier)

    async def test_email_taken(self) -> None:
        """An e-mail is taken in any case, and a refused user leaves no project."""
        await self.add()
        with self.assertRaises(Conflict):
            await self.add("ALICE@example.org")
        self.assertEqual(await self.database.read("SELECT count(*) FROM projects"), [(1,)])
        other = await self.add("bob@example.org")
        with self.assertRaises(Conflict):
            await self.users.modify(other, UserChanges(email="alice@EXAMPLE.org"))

    async def test_generated_password(self) -> None:
        """Without a password one is made up that lets the user in, and is not shown by accident."""
        created = await self.users.add("alice@example.org", "Al", "Ice", accepted=True)
        self.assertEqual(len(created.password), 16)
        self.assertNotIn(created.password, repr(created))
        await self.login(created.password)

    async def test_bad_password(self) -> None:
        """What cannot be a password makes no user."""
        with self.assertRaises(BadRequest):
            await self.add(password="password")
        self.assertEqual(await self.users.list_all(), [])

    async def test_not_accepted(self) -> None:
        """A user logs in after being verified and accepted, not before."""
        user = await self.add(accepted=False)
        with self.assertRaises(Unauthorized):
            await self.login()
        await self.users.modify(user, UserChanges(state="verify"))
        with self.assertRaises(Unauthorized):
            await self.login()
        await self.users.modify(user, UserChanges(state="accept"))
        await self.login()

    async def test_new_password(self) -> None:
        """A new password ends the old one and every token."""
        user = await self.add()
        token = (await self.login()).secret
        await self.users.modify(user, UserChanges(password="another horse"))
        for act in (self.login(), self.identity.tokens.authenticate(token)):
            with self.assertRaises(Unauthorized):
                await act
        await self.login("another horse")

    async def test_all_or_nothing(self) -> None:
        """A change that is refused changes nothing else."""
        user = await self.add()
        with self.assertRaises(Conflict):
            await self.users.modify(user, UserChanges(state="verify", is_admin=True))
        self.assertFalse((await self.users.get(user)).is_admin)

    async def test_groups_and_rights(self) -> None:
        """Groups are added and removed, administrators made and unmade."""
        user = await self.add(groups=("helpdesk",))
        changes = UserChanges(is_admin=True, add_groups=("x", "y"), delete_groups=("helpdesk",))
        changed = await self.users.modify(user, changes)
        self.assertEqual((changed.user.groups, changed.user.is_admin), (("x", "y"), True))
        changed = await self.users.modify(user, UserChanges(is_admin=False, renew_token=True))
        caller = await self.identity.tokens.authenticate(changed.token.secret)
        self.assertEqual(caller.roles, {"x", "y"})


class OneConnectionTests(DatabaseTestCase):
    """A process whose connections are all in use but one."""

    limits = {"connections": 1, "wait_seconds": 1.0}

    async def test_default_project(self) -> None:
        """A change of the default project needs no second connection while it holds one: as many
        at once as there are connections would all wait for each other."""
        users = accounts(self.database).users
        user = (await users.add("a@example.org", "A", "A", password=PASSWORD, accepted=True)).uuid
        project = await make_project(self.database, user, [user], {})
        await users.modify(user, UserChanges(default_project=project))
        self.assertEqual((await users.get(user)).default_project, project)
        with self.assertRaises(ItemNotFound):
            await users.modify("nobody@example.org", UserChanges(default_project=project))
