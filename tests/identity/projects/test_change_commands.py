"""Changing projects by command."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stderr
from datetime import UTC, datetime

from twisted.internet.defer import Deferred, DeferredList

from synnefo_tx.faults import ItemNotFound, OverLimit
from synnefo_tx.identity.projects.model import LimitChange, ProjectChanges
from synnefo_tx.identity.quota.model import Provision
from tests.support.application import CommandTestCase
from tests.support.identity import make_project, make_user

PAST = datetime(2020, 1, 1, tzinfo=UTC)


class ProjectCase(CommandTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.alice = await make_user(self.database, "alice@example.org")
        self.bob = await make_user(self.database, "bob@example.org")
        self.project = await make_project(
            self.database, self.bob, [self.alice, self.bob], {"cyclades.vm": (8, 2)},
            "lab.example.org",
        )  # fmt: skip

    async def charge(self, quantity: int, project: str | None = None) -> None:
        async with self.database.transaction("charge") as tx:
            wanted = Provision(self.alice, project or self.project, "cyclades.vm", quantity)
            await self.app.identity.quota.charge(tx, [wanted])

    async def usage(self, project: str | None = None) -> tuple[int, int]:
        """Limit and usage of the member."""
        project = project or self.project
        row = (await self.app.identity.quota.listing(self.alice))[project]["cyclades.vm"]
        return row["limit"], row["usage"]

    async def done(self, *argv: str) -> str:
        ran = await self.command(*argv)
        self.assertEqual(ran.status, 0, ran.err)
        return ran.err


class ModifyTests(ProjectCase):
    async def test_all(self) -> None:
        """Everything of a project changes at once, and is shown."""
        (row,) = await self.records(
            "project-modify", self.project, "--name", "new.example.org", "--owner",
            "alice@example.org", "--homepage", "https://x", "--description", "d", "--end-date",
            "2099-12-31", "--join-policy", "closed", "--leave-policy", "moderated",
            "--max-members", "7", "--private", "yes",
            "--limit", "cyclades.vm", "3", "inf", "--limit", "cyclades.total_ram", "1GiB", "2GiB",
        )  # fmt: skip
        self.assertEqual(
            {key: row[key] for key in ("name", "owner", "join policy", "leave policy",
                                       "max members", "request end date", "homepage")},
            {"name": "new.example.org", "owner": "alice@example.org", "join policy": "closed",
             "leave policy": "moderated", "max members": "7", "homepage": "https://x",
             "request end date": "2099-12-31 00:00:00+00:00"},
        )  # fmt: skip
        document = await self.records("project-show", self.project)
        limits = {each["name"]: each for each in document["Limits"]}
        self.assertEqual(
            limits["cyclades.vm"],
            {"name": "cyclades.vm", "max per member": "3", "max per project": "inf"},
        )
        self.assertEqual(limits["cyclades.total_ram"]["max per member"], "1024 MiB")
        for by in ("owner=alice@example.org", f"owner={self.alice}", "join_policy=closed"):
            rows = await self.records("project-list", "--filter-by", by, "-o", "name")
            self.assertEqual(rows, [{"name": "new.example.org"}], by)

    async def test_limit_at_once(self) -> None:
        """New limits hold for the next charge; usage above them stays."""
        await self.charge(2)
        await self.done("project-modify", self.project, "--limit", "cyclades.vm", "1", "8")
        self.assertEqual(await self.usage(), (1, 2))
        with self.assertRaises(OverLimit):
            await self.charge(1)
        await self.charge(-2)
        await self.charge(1)

    async def test_refused(self) -> None:
        """Wrong input is one line and changes nothing, also what would have been right with it."""
        await make_project(self.database, self.bob, [], {}, "taken.example.org")
        waiting = await make_user(self.database, "carol@example.org", accepted=False)
        before = await self.records("project-show", self.project)
        right = ("--description", "changed", "--limit", "cyclades.cpu", "1", "1")
        for options, said in (
            ((), "No change"),
            (("--name", "taken.example.org", *right), "There is a project"),
            (("--name", "nohost", *right), "looks like"),
            (("--owner", waiting, *right), "accepted"),
            (("--owner", "x@example.org", *right), "no user"),
            (("--max-members", "many", *right), "no amount"),
            (("--end-date", "2001-01-01", *right), "future"),
            (("--limit", "cyclades.vm", "2", "1", *right), "cyclades.vm"),
            (("--limit", "no.such", "1", "1", *right), "no resource"),
            (("--exclude", "x", *right), "--exclude goes"),
            (("--all-system-projects", *right), "Name a project"),
        ):
            argv = ("project-modify", self.project, *options)
            self.assertIn(said, await self.refusal(*argv), options)
        self.assertIn("no project", await self.refusal("project-modify", "x", *right))
        self.assertIn("keeps", await self.refusal("project-modify", self.alice, *right))
        self.assertEqual(await self.records("project-show", self.project), before)

    async def test_system_projects(self) -> None:
        """All system projects change but those of users who are named; others do not."""
        change = ("--all-system-projects", "--limit", "cyclades.vm", "9", "9")
        said = await self.done("project-modify", *change, "--exclude", f"{self.bob}")
        self.assertEqual(said, "1 system projects were changed\n")
        limits = [
            (await self.app.identity.quota.project_limits(each))[1].per_member
            for each in (self.alice, self.bob, self.project)
        ]
        self.assertEqual(limits, [9, 4, 2])
        self.assertIn("2 system", await self.done("project-modify", *change))
        said = await self.refusal("project-modify", *change, "--description", "x")
        self.assertIn("keep their description", said)
        self.assertIn("no user", await self.refusal("project-modify", *change, "--exclude", "x"))
        self.assertIn("Name a project", await self.refusal("project-modify", "--private", "no"))

    async def test_beside_each_other(self) -> None:
        """Changes of one project and of all beside charges end, all of them, without deadlock."""
        projects = self.app.identity.projects
        up = ProjectChanges(limits=tuple(
            LimitChange(name, 100, 100) for name in ("cyclades.vm", "cyclades.cpu")
        ))  # fmt: skip
        down = ProjectChanges(limits=up.limits[::-1], description="d")
        work = []
        for _ in range(4):
            work += [
                projects.modify(self.project, down),
                projects.modify_system(up, ()),
                projects.modify(self.alice, up),
                self.charge(1, self.alice),
            ]
        await DeferredList([Deferred.fromCoroutine(each) for each in work], fireOnOneErrback=True)
        self.assertEqual(await self.usage(self.alice), (100, 4))


class ControlTests(ProjectCase):
    async def state(self) -> str:
        return (await self.app.identity.projects.get(self.project)).state

    async def test_life(self) -> None:
        """A suspended project gives nothing, an unsuspended again what it gave; a terminated one
        frees its name and is nobody's default, and comes back if its name is free."""
        await self.charge(1)
        await self.done("user-modify", self.alice, "--set-default-project", self.project)
        for control, state, limit in (
            ("suspend", "suspended", 0),
            ("unsuspend", "active", 2),
            ("suspend", "suspended", 0),
            ("terminate", "terminated", 0),
        ):
            said = await self.done("project-control", f"--{control}", self.project)
            self.assertIn(f"is {state}", said)
            again = await self.refusal("project-control", f"--{control}", self.project)
            self.assertIn(f"Cannot {control}", again)
            if state != "terminated":
                self.assertEqual(await self.usage(), (limit, 1))
            elif limit == 0:
                with self.assertRaises(OverLimit):
                    await self.charge(1)
        self.assertEqual(
            (await self.app.identity.users.get(self.alice)).default_project, self.alice
        )
        self.assertEqual(await self.records("project-list"), [])
        self.assertEqual(len(await self.records("project-list", "--deleted")), 1)
        other = await make_project(self.database, self.bob, [], {}, "lab.example.org")
        reinstate = ("project-control", "--reinstate", self.project)
        self.assertIn("There is a project with the name", await self.refusal(*reinstate))
        self.assertEqual(await self.state(), "terminated")
        await self.done("project-modify", other, "--name", "other.example.org")
        await self.done(*reinstate)
        self.assertEqual((await self.state(), await self.usage()), ("active", (2, 1)))

    async def test_expired(self) -> None:
        """Projects past their end are listed, and ended on demand; a second run finds none."""
        self.assertEqual(await self.records("project-control", "--check-expired"), [])
        async with self.database.transaction("test") as tx:
            await tx.run(
                "UPDATE projects SET end_date = %(end)s WHERE NOT is_system", {"end": PAST}
            )
        (row,) = await self.records("project-control", "--check-expired")
        self.assertEqual(
            (row["Project"], row["Name"], row["Status"]),
            (self.project, "lab.example.org", "active"),
        )
        (row,) = await self.records("project-control", "--terminate-expired")
        self.assertEqual(row["Status"], "terminated")
        self.assertEqual(await self.records("project-control", "--terminate-expired"), [])

    async def test_wrong(self) -> None:
        """System projects do not end, unknown ones are told, applications are refused."""
        said = await self.refusal("project-control", "--terminate", self.alice)
        self.assertIn("ends with its user", said)
        self.assertIn("no project", await self.refusal("project-control", "--suspend", "x"))
        for argv in (["--approve", "1"], ["--deny", "1", "-m", "no"], [],
                     ["--check-expired", "--suspend", "x"]):  # fmt: skip
            with redirect_stderr(io.StringIO()) as told, self.assertRaises(SystemExit):
                await self.command("project-control", *argv)
        with redirect_stderr(io.StringIO()) as told, self.assertRaises(SystemExit):
            await self.command("project-control", "--approve", "1")
        self.assertIn("not applied for", told.getvalue())


class UserTests(ProjectCase):
    async def test_default_project(self) -> None:
        """A user's default project is an active one that they are in."""
        modify = ("user-modify", self.alice, "--set-default-project")
        await self.done(*modify, self.project)
        self.assertEqual(
            (await self.app.identity.users.as_caller(self.alice)).default_project, self.project
        )
        other = await make_project(self.database, self.bob, [self.bob], {}, "bob.example.org")
        self.assertIn("active one", await self.refusal(*modify, other))
        self.assertIn("no project", await self.refusal(*modify, "x"))
        await self.done("project-control", "--suspend", self.project)
        self.assertIn("active one", await self.refusal(*modify, self.project))

    async def test_deleted(self) -> None:
        """A user who was not accepted is deleted with their project, if the operator means it."""
        carol = await make_user(self.database, "carol@example.org", accepted=False)
        async with self.database.transaction("test") as tx:
            await self.app.identity.tokens.issue(tx, carol, "t", project=carol)
            wanted = Provision(carol, carol, "cyclades.vm", 1)
            await self.app.identity.quota.charge(tx, [wanted])
        delete = ("user-modify", carol, "--delete")
        with redirect_stderr(io.StringIO()):
            for typed, interactive in (("n\n", True), ("y\n", False)):
                said = await self.refusal(*delete, typed=typed, interactive=interactive)
                self.assertIn("Nothing was done", said)
        self.assertIn("things that are charged", await self.refusal(*delete, "-f"))
        async with self.database.transaction("test") as tx:
            wanted = Provision(carol, carol, "cyclades.vm", -1)
            await self.app.identity.quota.charge(tx, [wanted])
        self.assertIn("carol@example.org", await self.done(*delete, "--no-confirm"))
        with self.assertRaises(ItemNotFound):
            await self.app.identity.users.get(carol)
        self.assertIn("no user", await self.refusal(*delete, "-f"))
        await make_user(self.database, "carol@example.org")

    async def test_not_deleted(self) -> None:
        """Users who were accepted stay, and so do owners of projects."""
        said = await self.refusal("user-modify", self.alice, "--delete", "-f")
        self.assertIn("not accepted", said)
        said = await self.refusal("user-modify", self.alice, "--delete", "-f", "--set-admin")
        self.assertIn("cannot be changed too", said)
        carol = await make_user(self.database, "carol@example.org", accepted=False)
        await make_project(self.database, carol, [], {}, "carol.example.org")
        self.assertIn("owns", await self.refusal("user-modify", carol, "--delete", "-f"))
        ran = await self.command("user-list", "--output-format", "json")
        self.assertEqual(len(json.loads(ran.out)), 3)

    async def test_refused_options(self) -> None:
        """What has no meaning here is refused with what there is instead."""
        for options, said in (
            (("--add-permission", "x"), "groups"),
            (("--level", "3"), "invitations"),
            (("--sign-terms",), "terms"),
            (("--base-quota", "cyclades.vm", "3"), "project-modify --limit"),
        ):
            with redirect_stderr(io.StringIO()) as told, self.assertRaises(SystemExit):
                await self.command("user-modify", self.alice, *options)
            self.assertIn(said, told.getvalue())
