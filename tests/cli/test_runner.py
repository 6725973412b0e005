"""``snf-manage`` as a whole: parsing, errors, listings, and a real process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from synnefo_tx.cli.command import Terminal
from synnefo_tx.cli.registry import COMMANDS
from synnefo_tx.cli.runner import parse
from synnefo_tx.faults import BadRequest
from tests.support.application import CommandTestCase
from tests.support.database import TestServer
from tests.support.identity import make_user
from tests.support.reference import commands_reference


class RunnerTests(CommandTestCase):
    def test_registry(self) -> None:
        """Commands have different names, and a help that begins with a sentence."""
        names = [each.name for each in COMMANDS]
        self.assertEqual(len(set(names)), len(names))
        for each in COMMANDS:
            self.assertTrue((each.__doc__ or "").strip(), each)

    def test_reference(self) -> None:
        """docs/commands.md is what commands declare: python -m tests.support.reference writes
        it."""
        written = Path(__file__).parent.parent.parent / "docs" / "commands.md"
        self.assertEqual(written.read_text(encoding="utf-8"), commands_reference(COMMANDS))

    def test_wrong_use(self) -> None:
        """Unknown commands and options end with status 2 and the usage."""
        for argv in (["no-such"], [], ["user-list", "--no-such"], ["user-list", "positional"]):
            with redirect_stderr(io.StringIO()), self.assertRaises(SystemExit) as ended:
                parse(COMMANDS, argv)
            self.assertEqual(ended.exception.code, 2)

    async def test_fault(self) -> None:
        """A fault is one line on standard error and status 1."""
        ran = await self.command("user-show", "nobody@example.org")
        self.assertEqual((ran.status, ran.out), (1, ""))
        self.assertEqual(ran.err, "snf-manage user-show: There is no user nobody@example.org\n")

    async def test_defect(self) -> None:
        """An unexpected error is one line too; where it arose is told on demand."""
        async with self.database.transaction("break") as tx:
            await tx.run("ALTER TABLE users RENAME COLUMN email TO mail")
        ran = await self.command("user-list")
        self.assertEqual((ran.status, len(ran.err.splitlines())), (1, 1))
        self.assertIn("Traceback", (await self.command("user-list", "--traceback")).err)

    def test_confirmation(self) -> None:
        """Only yes is a yes; the end of input is a no, and so is that nobody is there."""
        with redirect_stderr(io.StringIO()) as asked:
            Terminal(io.StringIO("Yes\n").readline, lambda: True).confirm("Sure\x1b[2J?")
            for typed in ("", "\n", "n\n", "maybe\n"):
                with self.assertRaises(BadRequest):
                    Terminal(io.StringIO(typed).readline, lambda: True).confirm("Sure?")
            with self.assertRaisesRegex(BadRequest, "--force"):
                Terminal(io.StringIO("yes\n").readline, lambda: False).confirm("Sure?")
        self.assertIn("Sure\\x1b[2J? [Y/N]", asked.getvalue())

    def test_refused_options(self) -> None:
        """Options of the original that are not there are refused with what there is instead."""
        for option in ("--settings", "--pythonpath"):
            with redirect_stderr(io.StringIO()) as said, self.assertRaises(SystemExit) as ended:
                parse(COMMANDS, ["user-list", option, "x"])
            self.assertEqual(ended.exception.code, 2)
            self.assertIn(f"{option}: ", said.getvalue())
            self.assertIn("--config", said.getvalue())

    def test_version(self) -> None:
        """Every command tells the program's version."""
        for argv in (["--version"], ["user-list", "--version"]):
            with redirect_stdout(io.StringIO()) as said, self.assertRaises(SystemExit) as ended:
                parse(COMMANDS, argv)
            self.assertEqual((ended.exception.code, said.getvalue().strip()), (0, "0.1.0"))

    async def test_quiet(self) -> None:
        """With verbosity 0 notes are left out, errors are not."""
        ran = await self.command("db-migrate", "-v", "0")
        self.assertEqual((ran.status, ran.err), (0, ""))
        self.assertIn("up to date", (await self.command("db-migrate")).err)
        ran = await self.command("user-show", "x@example.org", "--verbosity", "0")
        self.assertIn("no user", ran.err)


class ListingTests(CommandTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.alice = await make_user(self.database, "alice@example.org", is_admin=True)
        self.bob = await make_user(self.database, "bob@example.org", groups=("x",))
        self.carol = await make_user(self.database, "carol@example.org", accepted=False)

    async def names(self, *options: str) -> list[str]:
        ran = await self.command("user-list", "-o", "displayname", "--no-headers", *options)
        self.assertEqual(ran.err, "")
        return [line.split("@")[0] for line in ran.lines]

    async def test_filters(self) -> None:
        """Conditions on fields and stored attributes select rows; several must all hold."""
        for text, expected in (
            ("admin=yes", ["alice"]),
            ("is_admin!=True", ["bob", "carol"]),
            ("id>1", ["bob", "carol"]),
            ("id=<2, id>=2", ["bob"]),
            ("email=bob@example.org", ["bob"]),
            ("date_joined>2020-01-01", ["alice", "bob", "carol"]),
            ("date_joined<2020-01-01T00:00:00", []),
            ("last_login=", ["alice", "bob", "carol"]),
            ("groups=x", ["bob"]),
            ("groups!=x", ["alice", "carol"]),
        ):
            self.assertEqual(await self.names("--filter-by", text), expected, text)
        self.assertEqual(await self.names("--active"), ["alice", "bob"])
        self.assertEqual(await self.names("--pending-verification"), ["carol"])
        self.assertEqual(await self.names("--group", "x"), ["bob"])

    async def test_bad_filters(self) -> None:
        """An unknown key or field, a value of the wrong kind and no condition are errors."""
        for options in (
            ("--filter-by", "no_such=1"),
            ("--filter-by", "admin__x=1"),
            ("--filter-by", "password_hash=1"),
            ("--filter-by", "id=x"),
            ("--filter-by", "last_login>yesterday"),
            ("--filter-by", "admin=perhaps"),
            ("--filter-by", "id"),
            ("-o", "id,no_such"),
        ):
            ran = await self.command("user-list", *options)
            self.assertEqual((ran.status, ran.out, len(ran.err.splitlines())), (1, "", 1), options)

    async def test_formats(self) -> None:
        """The same list as table, CSV and JSON; the fields can be listed."""
        ran = await self.command("user-list", "-o", "id,uuid")
        self.assertEqual(ran.lines[0].split(), ["id", "uuid"])
        ran = await self.command("user-list", "-o", "id,uuid", "--output-format", "csv")
        self.assertEqual(ran.lines[1], f"1,{self.alice}")
        ran = await self.command("user-list", "--output-format", "json")
        self.assertEqual(
            json.loads(ran.out)[1],
            {
                "id": "2",
                "displayname": "bob@example.org",
                "realname": "First Last",
                "uuid": self.bob,
                "active": "True",
                "admin": "False",
            },
        )
        listed = (await self.command("user-list", "--list-fields")).out
        self.assertIn("last_login", listed)
        self.assertIn("is_active", (await self.command("user-list", "--list-filters")).out)


class ProcessTests(CommandTestCase):
    timeout = 60

    def run_process(self, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": os.environ["PATH"], "SYNNEFO_HOME": self.mktemp(), **environ}
        program = "from synnefo_tx.cli.runner import main; main()"
        return subprocess.run(
            [sys.executable, "-c", program, *argv], env=env, capture_output=True, text=True
        )

    async def test_real(self) -> None:
        """The program migrates an empty database, makes a user and lists it."""
        server = TestServer.get()
        url = server.clone("template1")
        self.addCleanup(server.drop, url)
        environ = {"SYNNEFO_DATABASE__URL": url}
        ran = self.run_process("user-list", **environ)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("snf-manage db-migrate", ran.stderr)
        ran = self.run_process("db-migrate", "--output-format", "csv", **environ)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        self.assertIn("identity,0001,users", ran.stdout)
        ran = self.run_process("user-add", "a@b.org", "A", "B", **environ)
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        ran = self.run_process("user-list", "--output-format", "json", **environ)
        self.assertEqual([each["displayname"] for each in json.loads(ran.stdout)], ["a@b.org"])

    async def test_cannot_open(self) -> None:
        """Wrong settings and an unreachable database are one line that says so."""
        for environ in (
            {"SYNNEFO_HTTP__PORT": "many"},
            {"SYNNEFO_DATABASE__URL": "postgresql://nobody@/none?host=/nonexistent"},
        ):
            ran = self.run_process("user-list", **environ)
            self.assertEqual((ran.returncode, ran.stdout), (1, ""))
            self.assertEqual(len(ran.stderr.splitlines()), 1, ran.stderr)
