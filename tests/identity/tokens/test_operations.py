"""API tokens: who they let in, for how long, and how that ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from synnefo_tx.faults import Unauthorized
from synnefo_tx.identity.projects.store import ProjectStore
from synnefo_tx.settings import Identity
from tests.support.accounts import accounts
from tests.support.database import DatabaseTestCase
from tests.support.identity import FAR, make_project, make_user


class TokensTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.tokens = accounts(self.database).tokens
        self.user = await make_user(self.database, "Alice@example.org", groups=("helpdesk",))

    async def issue(self, expires=None, **options):
        async with self.database.transaction("issue") as tx:
            return await self.tokens.issue(tx, self.user, "laptop", expires, **options)

    async def change(self, sql: str) -> None:
        async with self.database.transaction("change") as tx:
            await tx.run(sql)

    async def refused(self, token: str) -> str:
        with self.assertRaises(Unauthorized) as caught:
            await self.tokens.authenticate(token)
        return caught.exception.message

    async def test_caller(self) -> None:
        """A token gives the user, the groups as roles, and the active projects they are in."""
        project = await make_project(self.database, self.user, [self.user], {})
        gone = await make_project(self.database, self.user, [self.user], {})
        async with self.database.transaction("suspend") as tx:
            await ProjectStore(tx).set_state(gone, "suspended")
        caller = await self.tokens.authenticate((await self.issue()).secret)
        self.assertEqual((caller.user, caller.email), (self.user, "Alice@example.org"))
        self.assertEqual(caller.name, "First Last")
        self.assertEqual(caller.roles, {"helpdesk"})
        self.assertFalse(caller.is_operator)
        self.assertEqual(caller.projects, (self.user, project))
        self.assertEqual(caller.default_project, self.user)

    async def test_admin(self) -> None:
        """An administrator has the role of one, at once and only as long as they are one."""
        token = (await self.issue()).secret
        await self.change("UPDATE users SET is_admin = true")
        self.assertTrue((await self.tokens.authenticate(token)).is_operator)
        await self.change("UPDATE users SET is_admin = false")
        self.assertFalse((await self.tokens.authenticate(token)).is_operator)

    async def test_form(self) -> None:
        """A token has 43 URL-safe characters, is stored as a digest and not shown in a repr."""
        issued = await self.issue()
        self.assertRegex(issued.secret, r"\A[A-Za-z0-9_-]{43}\Z")
        self.assertNotIn(issued.secret, repr(issued))
        rows = await self.database.read("SELECT t::text FROM api_tokens t")
        self.assertNotIn(issued.secret, str(rows))
        left = issued.expires - issued.created
        self.assertEqual(left, timedelta(hours=Identity().token_hours))

    async def test_unknown(self) -> None:
        """An unknown token, however odd, is a 401."""
        for token in ("x" * 43, "", "\ud800", "é" * 100000):
            self.assertEqual(await self.refused(token), "Invalid token")

    async def test_expired(self) -> None:
        """A token ends at its time, and is swept."""
        token = (await self.issue(datetime(2020, 1, 1, tzinfo=UTC))).secret
        self.assertEqual(await self.refused(token), "Authentication token expired")
        kept = (await self.issue()).secret
        async with self.database.transaction("sweep") as tx:
            self.assertEqual(await self.tokens.sweep(tx), 1)
        self.assertEqual(await self.refused(token), "Invalid token")
        await self.tokens.authenticate(kept)

    async def test_disabled_user(self) -> None:
        """Disabling a user ends all tokens at once; enabling brings them back."""
        token = (await self.issue()).secret
        await self.change("UPDATE users SET is_active = false")
        self.assertEqual(await self.refused(token), "Invalid user")
        await self.change("UPDATE users SET is_active = true")
        await self.tokens.authenticate(token)

    async def test_removed_member(self) -> None:
        """A removed member acts for the project no more, at once."""
        project = await make_project(self.database, self.user, [self.user], {})
        token = (await self.issue()).secret
        async with self.database.transaction("remove") as tx:
            await ProjectStore(tx).set_member(project, self.user, "removed")
        self.assertEqual((await self.tokens.authenticate(token)).projects, (self.user,))

    async def test_child(self) -> None:
        """A token got with a token never outlives it, in time or by revocation."""
        first = await self.issue(FAR - timedelta(days=40000))
        child = await self.issue(FAR, parent=first.id)
        self.assertEqual(child.expires, first.expires)
        long = await self.issue(FAR)
        child = await self.issue(parent=long.id)
        grandchild = await self.issue(FAR, parent=child.id)
        self.assertEqual(grandchild.expires, child.expires)
        async with self.database.transaction("revoke") as tx:
            self.assertTrue(await self.tokens.revoke(tx, self.user, long.id))
            self.assertFalse(await self.tokens.revoke(tx, self.user, long.id))
        for token in (long, child, grandchild):
            self.assertEqual(await self.refused(token.secret), "Invalid token")
        with self.assertRaises(Unauthorized):
            await self.issue(parent=long.id)

    async def test_revoke_of_others(self) -> None:
        """Nobody revokes the token of somebody else."""
        issued = await self.issue()
        stranger = await make_user(self.database, "bob@example.org")
        async with self.database.transaction("revoke") as tx:
            self.assertFalse(await self.tokens.revoke(tx, stranger, issued.id))
        await self.tokens.authenticate(issued.secret)

    async def test_renew(self) -> None:
        """Renewing ends every token of the user and gives one new."""
        old = [await self.issue(), await self.issue()]
        async with self.database.transaction("renew") as tx:
            new = await self.tokens.renew(tx, self.user)
        for token in old:
            self.assertEqual(await self.refused(token.secret), "Invalid token")
        await self.tokens.authenticate(new.secret)
