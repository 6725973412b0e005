"""Commands about resources, quota and projects, and the amounts they show."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.faults import BadRequest
from synnefo_tx.identity.quota import amounts
from synnefo_tx.identity.quota.model import INFINITE, Provision
from tests.support.application import CommandTestCase
from tests.support.identity import make_project, make_user


class AmountTests(SynchronousTestCase):
    def test_parse(self) -> None:
        """Amounts have units of base 1024 in any case, or are infinite."""
        for text, expected in (
            ("4", 4), ("1.5K", 1536), ("2 mb", 2 * 2**20), ("8GiB", 8 * 2**30), ("1tib", 2**40),
            ("1P", 2**50), ("5 bytes", 5), ("inf", INFINITE), ("infinite", INFINITE),
        ):  # fmt: skip
            self.assertEqual(amounts.parse(text), expected, text)
        for text in ("", "-1", "x", "4 Q", "INF", "1e9", "99999999999999999999P", "²"):
            with self.assertRaises(BadRequest):
                amounts.parse(text)

    @given(st.integers(0, 2**40), st.sampled_from(["b", "none", "kb"]))
    def test_shown_is_parsed(self, amount: int, style: str) -> None:
        """What is shown in full can be given back."""
        amount = amount * 1024 if style == "kb" else amount
        self.assertEqual(amounts.parse(amounts.show(amount, "bytes", style)), amount)

    def test_styles(self) -> None:
        """Bytes are shown in the unit that is asked for, counts as they are."""
        shown = [amounts.show(3 * 2**29, "bytes", style) for style in ("mb", "gb", "auto")]
        self.assertEqual(shown, ["1536 MiB", "1.50 GiB", "1.50 GiB"])
        self.assertEqual(amounts.show(7, "bytes", "auto"), "7 bytes")
        self.assertEqual(amounts.show(7, None, "gb"), "7")
        self.assertEqual(amounts.show(INFINITE, "bytes", "gb"), "inf")


class QuotaCommandTests(CommandTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.user = await make_user(self.database, "alice@example.org")
        other = await make_user(self.database, "bob@example.org")
        self.project = await make_project(
            self.database, other, [other, self.user], {"cyclades.vm": (8, 2)}, "lab.example.org"
        )
        async with self.database.transaction("charge") as tx:
            wanted = Provision(self.user, self.project, "cyclades.vm", 3)
            await self.app.identity.quota.charge(tx, [wanted], force=True)

    async def listed(self, *argv: str) -> list[dict[str, str]]:
        ran = await self.command(*argv, "--output-format", "json")
        self.assertEqual((ran.status, ran.err), (0, ""))
        return json.loads(ran.out)

    async def test_quota_list(self) -> None:
        """Limits and usage of users and projects, by user, by condition, or over the limit."""
        over = {
            "holder": f"user:{self.user}",
            "source": f"project:{self.project}",
            "resource": "cyclades.vm",
            "limit": "2",
            "usage": "3",
        }
        self.assertEqual(await self.listed("quota-list", "--overlimit"), [over])
        rows = await self.listed("quota-list", "--filter-by", "usage>0")
        whole = {"holder": f"project:{self.project}", "source": "", "limit": "8"}
        self.assertEqual(rows, [over, over | whole])
        rows = await self.listed("quota-list", "-u", "alice@example.org", "--display-mails")
        self.assertEqual(len(rows), 20)
        self.assertEqual({row["displayname"] for row in rows}, {"alice@example.org"})
        text = f"user=user:{self.user},source=project:{self.user},resource=cyclades.ram"
        (row,) = await self.listed("quota-list", "--filter-by", text)
        self.assertEqual(row["limit"], "8192 MiB")

    async def test_verify(self) -> None:
        """Usage of somebody who is not in the project any more is found, and deleted on demand."""
        verify = ("quota-verify", "--include-unexpected-holdings")
        self.assertEqual(await self.listed(*verify), [])
        async with self.database.transaction("test") as tx:
            await tx.run("DELETE FROM project_members WHERE project = %(p)s AND member = %(u)s",
                         {"p": self.project, "u": self.user})  # fmt: skip
        row = {
            "Holder": f"user:{self.user}", "Source": f"project:{self.project}",
            "Resource": "cyclades.vm", "Astakos": "", "Quotaholder": "3",
        }  # fmt: skip
        ran = await self.command(*verify, "--output-format", "json")
        self.assertEqual((ran.status, json.loads(ran.out)), (1, [row]))
        self.assertEqual(await self.listed(*verify, "--fix"), [row])
        self.assertEqual(await self.listed(*verify, "--fix"), [])

    async def test_resources(self) -> None:
        """Resources are listed and changed; the change is shown."""
        rows = await self.listed("resource-list")
        self.assertEqual(len(rows), 10)
        self.assertEqual(rows[1]["system_default"], "4")
        options = ("--system-default", "inf", "--project-default", "2", "--ui-visible", "no")
        (row,) = await self.listed("resource-modify", "cyclades.vm", *options)
        self.assertEqual(row["system_default"], "inf")
        self.assertEqual((row["api_visible"], row["ui_visible"]), ("True", "False"))
        rows = await self.listed("resource-list", "--filter-by", "system_default>100")
        self.assertIn(row, rows)
        for options in ((), ("--system-default", "many")):
            ran = await self.command("resource-modify", "cyclades.vm", *options)
            self.assertEqual((ran.status, ran.out), (1, ""))

    async def test_projects(self) -> None:
        """Projects are listed without those of single users and those that are over."""
        rows = await self.listed("project-list")
        self.assertEqual([row["name"] for row in rows], ["lab.example.org"])
        self.assertEqual(rows[0]["owner"], "bob@example.org")
        self.assertEqual(len(await self.listed("project-list", "--system-projects")), 3)
        self.assertEqual(await self.listed("project-list", "-u", "alice@example.org"), [])
        self.assertEqual(await self.listed("project-list", "-d"), [])

    async def test_project_show(self) -> None:
        """A project is shown with its limits and members if asked for."""
        ran = await self.command(
            "project-show", self.project, "--members", "--quota", "--output-format", "json"
        )
        document = json.loads(ran.out)
        self.assertEqual(document[""][0]["total members"], "2")
        self.assertEqual(document[""][0]["max members"], "inf")
        vm = {"name": "cyclades.vm", "max per member": "2", "max per project": "8", "usage": "3"}
        self.assertIn(vm, document["Limits"])
        self.assertEqual({row["email"] for row in document["Members"]},
                         {"alice@example.org", "bob@example.org"})  # fmt: skip
        ran = await self.command("project-show", "no-such")
        self.assertEqual((ran.status, ran.out), (1, ""))
