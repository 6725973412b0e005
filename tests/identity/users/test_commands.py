"""Commands about users."""

from __future__ import annotations

import json

from synnefo_tx.faults import Unauthorized
from synnefo_tx.identity.quota.model import Provision
from synnefo_tx.identity.tokens.model import LoginName, Scope
from tests.support.application import CommandTestCase
from tests.support.identity import make_project, make_user


class UserCommandTests(CommandTestCase):
    async def added(self, *options: str, typed: str = "") -> dict[str, str]:
        ran = await self.command(
            "user-add", "Alice@example.org", "Al", "Ice", "--output-format", "json", *options,
            typed=typed,
        )  # fmt: skip
        self.assertEqual((ran.status, ran.err), (0, ""))
        return json.loads(ran.out)[0]

    async def login(self, password: str) -> str:
        name = LoginName(email="alice@example.org")
        logins = self.app.identity.logins
        return (await logins.by_password(name, password, "127.0.0.1", Scope())).secret

    async def shown(self, user: str) -> dict[str, str]:
        ran = await self.command("user-show", user, "--output-format", "json")
        return json.loads(ran.out)[0]

    async def test_life(self) -> None:
        """A user is made, verified, accepted, logs in, is disabled and enabled again."""
        made = await self.added()
        user = made["UUID"]
        self.assertEqual((await self.shown(user))["status"], "Pending email verification")
        for option in ("--verify", "--accept"):
            self.assertEqual((await self.command("user-modify", user, option)).status, 0)
            again = await self.command("user-modify", user, option)
            self.assertEqual((again.status, len(again.err.splitlines())), (1, 1))
        token = await self.login(made["Password"])
        self.assertEqual((await self.command("user-modify", user, "--set-active")).status, 1)
        reason = ("--inactive-reason", "left")
        ran = await self.command("user-modify", user, "--set-inactive", *reason)
        self.assertEqual(ran.err, f"User {user}: Accepted/Inactive (left)\n")
        with self.assertRaises(Unauthorized):
            await self.app.identity.tokens.authenticate(token)
        self.assertEqual((await self.command("user-modify", user, "--set-active")).status, 0)
        await self.app.identity.tokens.authenticate(token)

    async def test_password_from_input(self) -> None:
        """A password is read from standard input, and not shown; a bad one makes no user."""
        made = await self.added("--password", "-", typed="correct horse\n")
        self.assertEqual(list(made), ["UUID"])
        user = made["UUID"]
        for option in ("--verify", "--accept"):
            await self.command("user-modify", user, option)
        await self.login("correct horse")
        ran = await self.command("user-modify", user, "--password", "-", typed="another horse\n")
        self.assertEqual((ran.status, ran.out), (0, ""))
        await self.login("another horse")
        ran = await self.command("user-modify", user, "--password", "short")
        self.assertEqual((ran.status, ran.out), (1, ""))
        self.assertNotIn("short", ran.err.replace("shorter", ""))

    async def test_new_secrets(self) -> None:
        """New secrets are on standard output and work; the old ones do not."""
        user = await make_user(self.database, "alice@example.org")
        ran = await self.command(
            "user-modify", user, "--renew-password", "--renew-token", "--output-format", "json"
        )
        document = json.loads(ran.out)
        await self.login(document["Password"][0]["Password"])
        token = document["Token"][0]["Token"]
        self.assertEqual((await self.app.identity.tokens.authenticate(token)).user, user)
        await self.command("user-modify", user, "--renew-token")
        with self.assertRaises(Unauthorized):
            await self.app.identity.tokens.authenticate(token)

    async def test_modify(self) -> None:
        """E-mail, groups and rights change together; nothing asked for is an error."""
        user = await make_user(self.database, "old@example.org", groups=("a",))
        options = ("--set-email", "New@example.org", "--set-admin", "--add-group", "b")
        ran = await self.command("user-modify", user, *options, "--delete-group", "a")
        self.assertEqual(ran.status, 0, ran.err)
        shown = await self.shown("new@example.org")
        self.assertEqual((shown["email"], shown["groups"]), ("New@example.org", "b"))
        self.assertEqual(shown["admin"], "True")
        await self.command("user-modify", user, "--set-noadmin")
        self.assertEqual((await self.shown(user))["admin"], "False")
        self.assertEqual((await self.command("user-modify", user)).status, 1)

    async def test_show(self) -> None:
        """A user is shown with quota and projects if asked for."""
        user = await make_user(self.database, "alice@example.org")
        project = await make_project(self.database, user, [user], {}, "lab.example.org")
        async with self.database.transaction("charge") as tx:
            await self.app.identity.quota.charge(
                tx, [Provision(user, user, "cyclades.ram", 3 * 2**30)]
            )
        options = ("--quota", "--projects", "--output-format", "json")
        ran = await self.command("user-show", user, *options, "--unit-style", "gb")
        document = json.loads(ran.out)
        self.assertIn(
            {
                "source": f"project:{user}",
                "resource": "cyclades.ram",
                "limit": "8 GiB",
                "usage": "3 GiB",
            },
            document["User quota"],
        )
        lab = {"project id": project, "project name": "lab.example.org"}
        self.assertEqual(document["Owned projects"], [lab | {"status": "active"}])
        self.assertIn(lab | {"status": "accepted"}, document["Project memberships"])
