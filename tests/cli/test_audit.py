"""The audit log of commands: what is in it, and what never is; and as whom commands run."""

from __future__ import annotations

import io
import os
import pwd
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import psycopg2
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from synnefo_tx.cli import audit
from synnefo_tx.cli.output import MASK, Output
from synnefo_tx.cli.privileges import drop
from synnefo_tx.settings import SettingsError
from tests.support.database import TestServer

PROGRAM = "from synnefo_tx.cli.runner import main; main()"


class RuleTests(SynchronousTestCase):
    def test_which(self) -> None:
        """Listings and what shows one thing are not logged; the rule can be another, or none."""
        usual = "-list$|-show$"
        for command, rule, expected in (
            ("user-list", usual, False),
            ("user-show", usual, False),
            ("user-add", usual, True),
            ("user-list", "", True),
            ("user-add", "^user-", False),
        ):
            self.assertEqual(audit.is_logged(command, rule), expected, (command, rule))
        with self.assertRaisesRegex(SettingsError, "not_logged"):
            audit.is_logged("x", "(")

    def test_path(self) -> None:
        """A log bears the moment, the command and the process."""
        moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        path = audit.path_of(Path("/home"), "user-add", moment, 77)
        self.assertEqual(str(path), "/home/log/commands/260102030405_user-add_77.log")

    @given(
        st.text(alphabet="abc=", min_size=5, max_size=9),
        st.sampled_from(["--password", "--pass", "--passw"]),
        st.booleans(),
    )
    def test_masked(self, secret: str, option: str, joined: bool) -> None:
        """No argument shows a secret, however it was given; the others are as they were."""
        given = [f"{option}={secret}"] if joined else [option, secret]
        shown = audit.masked(["user-add", "x@example.org", *given], {secret})
        self.assertEqual(shown[:2], ["user-add", "x@example.org"])
        self.assertFalse(any(secret in each for each in shown), shown)
        self.assertIn(MASK, shown[-1])

    def test_output(self) -> None:
        """What was said is in the log as a table, whatever the format; hidden values are not."""
        log, stream = io.StringIO(), io.StringIO()
        out = Output(stream, io.StringIO(), "json", audit=log)
        out.hide("s3cret")
        out.note("made\x1b[2J")
        out.record([("id", 7), ("Password", "s3cret")])
        out.finish()
        self.assertIn("s3cret", stream.getvalue())
        self.assertEqual(
            log.getvalue().split(), ["made\\x1b[2J", "id", "Password", "--", "--------", "7", MASK]
        )

    def test_secret_output(self) -> None:
        """Of a command whose output may hold secrets only errors are in the log."""
        log = io.StringIO()
        out = Output(io.StringIO(), io.StringIO(), audit=log, audits_errors_only=True)
        out.note("1: body")
        out.record([("body", "s3cret")])
        out.error("lost")
        out.finish()
        self.assertEqual(log.getvalue(), "lost\n")


class Recorder:
    """Stands for the operating system: who one is, and what was asked of it."""

    def __init__(self, euid: int) -> None:
        self.euid = euid
        self.asked: list[tuple[object, ...]] = []
        self.environ: dict[str, str] = {}

    def geteuid(self) -> int:
        return self.euid

    def initgroups(self, *arguments: object) -> None:
        self.asked.append(("initgroups", *arguments))

    def setgid(self, *arguments: object) -> None:
        self.asked.append(("setgid", *arguments))

    def setuid(self, *arguments: object) -> None:
        self.asked.append(("setuid", *arguments))


class PrivilegeTests(SynchronousTestCase):
    def test_kept(self) -> None:
        """Nothing is asked for unless root runs the command and the settings name another user."""
        for euid, user in ((1000, "nobody"), (0, ""), (0, "root")):
            system = Recorder(euid)
            drop(user, "", system)
            self.assertEqual(system.asked, [])

    def test_dropped(self) -> None:
        """Groups go before the user, since afterwards nobody may change them."""
        system = Recorder(0)
        drop("nobody", "daemon", system)
        self.assertEqual([each[0] for each in system.asked], ["initgroups", "setgid", "setuid"])
        self.assertEqual(system.asked[2][1], pwd.getpwnam("nobody").pw_uid)

    def test_unknown(self) -> None:
        """A user or group that is not there ends the command; it does not go on as root."""
        for user, group in (("no-such-user", ""), ("nobody", "no-such-group")):
            with self.assertRaisesRegex(SettingsError, "no-such"):
                drop(user, group, Recorder(0))

    def test_real(self) -> None:
        """The process is really another's afterwards, with that one's groups."""
        if os.geteuid() != 0:
            raise SkipTest("only root can become another")
        program = (
            "import os; from synnefo_tx.cli.privileges import drop; drop('nobody', '');"
            "import pwd; wanted = pwd.getpwnam('nobody');"
            "assert os.getresuid() == (wanted.pw_uid,) * 3, os.getresuid();"
            "assert os.getresgid() == (wanted.pw_gid,) * 3;"
            "assert 0 not in os.getgroups(); os.open('/proc/1/environ', os.O_RDONLY)"
        )
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        self.assertIn("PermissionError", ran.stderr)
        self.assertNotIn("AssertionError", ran.stderr)


class ProcessTests(SynchronousTestCase):
    """The program as a real process, with a home of its own."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        server = TestServer.get()
        self.url = server.clone("template1")
        self.addCleanup(server.drop, self.url)

    def run_process(self, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
        env = {
            "PATH": os.environ["PATH"],
            "SYNNEFO_HOME": str(self.home),
            "SYNNEFO_DATABASE__URL": self.url,
            **environ,
        }
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *argv], env=env, capture_output=True, text=True
        )

    def logs(self) -> list[Path]:
        return sorted((self.home / "log" / "commands").glob("*.log"))

    def test_logged(self) -> None:
        """A command that changes something leaves one log for its owner's eyes, with what it was
        told and what it said, without passwords, and the journal names it; a failed one too; a
        listing none."""
        self.assertEqual(self.run_process("db-migrate").returncode, 0)
        (log,) = self.logs()
        self.assertEqual(stat.S_IMODE(log.stat().st_mode), 0o600)
        self.assertIn("identity", log.read_text())
        log.unlink()
        secret = "correct-horse-battery"
        add = ("user-add", "a@example.org", "A", "B")
        self.assertEqual(self.run_process(*add, "--password", secret).returncode, 0)
        (log,) = self.logs()
        self.assertRegex(log.name, r"^\d{12}_user-add_\d+\.log$")
        self.assertNotIn(secret, log.read_text())
        for each in ("arguments: 'user-add' 'a@example.org'", MASK, "UUID"):
            self.assertIn(each, log.read_text())
        with psycopg2.connect(self.url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT actor, request FROM journal")
            login = pwd.getpwuid(os.getuid()).pw_name
            self.assertEqual(cursor.fetchall(), [(f"operator:{login}", f"command-{log.stem}")])
        connection.close()
        log.unlink()
        self.assertEqual(self.run_process(*add).returncode, 1)
        (log,) = self.logs()
        self.assertIn("There is a user", log.read_text())
        log.unlink()
        self.assertEqual(self.run_process("user-list").returncode, 0)
        self.assertEqual(self.logs(), [])
        made = self.run_process("user-add", "b@example.org", "A", "B", "--output-format", "csv")
        password = made.stdout.splitlines()[1].split(",")[1]
        self.assertNotIn(password, self.logs()[0].read_text())

    def test_setting(self) -> None:
        """The setting says which commands leave none; what cannot be written is one line."""
        self.run_process("db-migrate", SYNNEFO_COMMANDS__NOT_LOGGED="^db-")
        self.assertEqual(self.logs(), [])
        self.home.joinpath("log").write_text("in the way")
        ran = self.run_process("db-migrate")
        self.assertEqual((ran.returncode, len(ran.stderr.splitlines())), (1, 1), ran.stderr)

    def test_verbosity(self) -> None:
        """What the program logs is shown on demand, and only then."""
        self.run_process("db-migrate")
        self.assertEqual(self.run_process("user-list").stderr, "")
        shown = self.run_process("user-list", "-v", "3").stderr
        self.assertTrue(all(line.startswith("{") for line in shown.splitlines()), shown)
