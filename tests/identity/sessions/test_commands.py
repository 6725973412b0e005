"""What operators see of sessions, and how they end them."""

from __future__ import annotations

from synnefo_tx.identity.sessions.model import Visitor
from tests.support.application import CommandTestCase

EMAIL, PASSWORD = "alice@example.org", "correct horse"


class SessionCommandTests(CommandTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        users = self.app.identity.users
        await users.add(EMAIL, "Alice", "A", password=PASSWORD, accepted=True)

    async def sign_in(self, browser: str = "a browser") -> str:
        visitor = Visitor("192.0.2.1", browser)
        return (await self.app.identity.sessions.sign_in(EMAIL, PASSWORD, visitor)).value

    async def test_commands(self) -> None:
        """Sessions are listed with user, address and browser, and ended one by one or all."""
        first, second = await self.sign_in(), await self.sign_in("another")
        rows = await self.records("session-list", "--output", "id,user.email,address,browser")
        self.assertEqual([row["browser"] for row in rows], ["another", "a browser"])
        self.assertEqual({row["user.email"] for row in rows}, {EMAIL})
        self.assertEqual((await self.command("session-end", rows[0]["id"])).status, 0)
        examine = self.app.identity.sessions.examine
        self.assertIsNone(await examine(second))
        self.assertIsNotNone(await examine(first))
        self.assertIn("no session", (await self.command("session-end", rows[0]["id"])).err)
        ended = await self.command("session-end", "--user", EMAIL)
        self.assertIn("1 sessions", ended.err)
        self.assertIsNone(await examine(first))
        self.assertEqual(await self.records("session-list", "--user", EMAIL), [])

    async def test_refused(self) -> None:
        """Nothing is ended by a command that does not say what."""
        self.assertIn("--user", await self.refusal("session-end"))
        self.assertIn("--user", await self.refusal("session-end", "1", "--user", EMAIL))
        self.assertIn("no session x", (await self.command("session-end", "x")).err)
