"""Completion of commands and options by real shells."""

from __future__ import annotations

import io
import shutil
import subprocess
from contextlib import redirect_stderr

from twisted.trial.unittest import SkipTest

from synnefo_tx.cli.registry import COMMANDS
from tests.support.application import CommandTestCase

SHELL_LIMIT_SECONDS = 30


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """What a shell says."""
    return subprocess.run(argv, capture_output=True, text=True, timeout=SHELL_LIMIT_SECONDS)


class BashTests(CommandTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        ran = await self.command("completion", "bash")
        self.assertEqual((ran.status, ran.err), (0, ""))
        self.script = ran.out

    def completed(self, *words: str) -> list[str]:
        """What bash offers for the last of some words."""
        line = " ".join(f"'{word}'" for word in ("snf-manage", *words))
        probe = f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; _snf_manage; "
        probe += 'printf "%s\\n" "${COMPREPLY[@]}"'
        ran = run("bash", "--norc", "-uc", f"{self.script}\n{probe}")
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        return [line.strip() for line in ran.stdout.splitlines() if line.strip()]

    def test_commands(self) -> None:
        """All commands are offered, or those that begin as typed."""
        self.assertEqual(self.completed(""), sorted(each.name for each in COMMANDS))
        self.assertEqual(self.completed("subnet-"), ["subnet-inspect", "subnet-list"])
        self.assertEqual(self.completed("no-such"), [])

    def test_options(self) -> None:
        """A command's own options and those of all are offered, refused ones are not."""
        offered = self.completed("server-create", "--")
        for option in ("--image", "--port", "--wait", "--config", "--help"):
            self.assertIn(option, offered)
        for option in ("--volume", "--tags", "--settings", "--members"):
            self.assertNotIn(option, offered)
        self.assertEqual(self.completed("server-create", "--name", "x", "--proj"), ["--project"])

    def test_values(self) -> None:
        """Choices of options and arguments are offered, truth values too; of free text nothing."""
        for words, expected in (
            (("user-list", "--output-format", ""), ["pretty", "csv", "json"]),
            (("server-modify", "1", "--suspended", "F"), ["False"]),
            (("project-modify", "x", "--join-policy", "cl"), ["closed"]),
            (("completion", "z"), ["zsh"]),
            (("completion", "bash", "z"), []),
            (("server-create", "--name", ""), []),
        ):
            self.assertEqual(self.completed(*words), expected, words)

    def test_files(self) -> None:
        """Where a file is wanted files are offered."""
        self.assertIn("/etc/passwd", self.completed("backend-add", "--ca", "/etc/passw"))

    def test_registered(self) -> None:
        """The script tells bash what completes the program."""
        ran = run("bash", "--norc", "-uc", f"{self.script}\ncomplete -p snf-manage")
        self.assertIn("-F _snf_manage snf-manage", ran.stdout)

    async def test_unknown(self) -> None:
        """A shell that is not known is refused."""
        with redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
            await self.command("completion", "fish")


class ZshTests(CommandTestCase):
    async def test_script(self) -> None:
        """zsh takes the script, and completes as bash does, with what commands do."""
        script = (await self.command("completion", "zsh")).out
        for text in ("'server-list:List servers.'", "*--join-policy", "(auto moderated closed)"):
            self.assertIn(text, script)
        if shutil.which("zsh") is None:
            raise SkipTest("there is no zsh here")
        probe = "print $_comps[snf-manage]; whence -w _snf_manage"
        ran = run("zsh", "-fc", f"autoload -U compinit; compinit -u -D\n{script}\n{probe}")
        self.assertEqual(ran.stdout, "_snf_manage\n_snf_manage: function\n", ran.stderr)
