"""What operators do with keys."""

from __future__ import annotations

import io

from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.cli.progress import Progress, bar
from synnefo_tx.ganeti.backends.operations import Registration
from tests.support.application import CommandTestCase

CLUSTER = Registration("c", "h", 5080, "u", "passw0rd", fingerprint="00" * 32)


class SecretCommandTests(CommandTestCase):
    async def test_life(self) -> None:
        """A key is rotated, listed with what it seals, and the old one removed."""
        await self.app.ganeti.backends.add(CLUSTER)
        before = await self.records("secret-list")
        self.assertEqual([row["version"] for row in before], ["1"])
        self.assertEqual(before[0]["used"], "backends.password_sealed: 1")
        rotated = await self.command("secret-rotate")
        self.assertEqual(rotated.status, 0, rotated.err)
        self.assertIn("database version 2 (made): 1 secrets", rotated.err)
        rows = await self.records("secret-list")
        self.assertEqual([(row["version"], row["seals"]) for row in rows],
                         [("2", "True"), ("1", "False")])  # fmt: skip
        self.assertEqual(rows[1]["used"], "")
        retired = await self.command("secret-rotate", "--retire")
        self.assertIn("version 1", retired.err)
        self.assertEqual(len(await self.records("secret-list")), 1)
        self.assertIn("no older", (await self.command("secret-rotate", "--retire")).err)

    async def test_broken(self) -> None:
        """Secrets that do not open are named in the one line that the command fails with."""
        id = await self.app.ganeti.backends.add(CLUSTER)
        async with self.database.transaction("tamper") as tx:
            await tx.run("UPDATE backends SET password_sealed = password_sealed || 'x'::bytea")
        self.assertIn(f"backends {id}", await self.refusal("secret-rotate"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ProgressTests(SynchronousTestCase):
    def test_bar(self) -> None:
        """The bar fills, over itself on a terminal, and is not written elsewhere."""
        self.assertEqual(bar("x", 0, 10).count("#"), 0)
        self.assertEqual(bar("x", 10, 10), bar("x", 0, 0).replace("0 of 0", "10 of 10"))
        self.assertIn("5 of 10", bar("x", 5, 10))
        for stream, written in ((Terminal(), 2), (io.StringIO(), 0)):
            progress = Progress(stream, "Secrets")
            for done in (1, 1, 2):
                progress.tell(done, 2)
            progress.end()
            self.assertEqual(stream.getvalue().count("\r"), written)
            self.assertEqual(stream.getvalue().count("\n"), min(written, 1))
