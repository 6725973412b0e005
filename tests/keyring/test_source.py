"""Where keys are kept."""

from __future__ import annotations

import base64
import os
from pathlib import Path

from twisted.trial.unittest import TestCase

from synnefo_tx.db.transaction import Result, Transaction
from synnefo_tx.keyring.model import DATABASE, KeyringError
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.source import HomeKeys, KeySource, ListedKeys, source_of
from synnefo_tx.settings import KeyringSettings, Settings
from tests.support.keyring import MemoryKeys


async def in_place(function):
    return function()


async def never(sql: str, parameters: object) -> Result:
    """Run no statement."""
    raise AssertionError(sql)


class SourceCases:
    """What holds for every source that may be written."""

    async def test_versions(self) -> None:
        """A new version seals and the others stay; the first is there from the start."""
        source = self.source()
        await source.begin()
        self.assertEqual(await self.versions(source), [1])
        self.assertEqual(await source.make(DATABASE), 2)
        self.assertEqual(await source.make(DATABASE), 3)
        self.assertEqual(await self.versions(source), [3, 2, 1])
        secrets = {key.secret for key in (await source.load()).keys}
        self.assertEqual(len(secrets), 3)
        await source.retire(DATABASE, [1, 2])
        self.assertEqual(await self.versions(source), [3])

    async def versions(self, source: KeySource) -> list[int]:
        return [key.version for key in (await source.load()).of(DATABASE)]


class MemoryTests(SourceCases, TestCase):
    def source(self) -> KeySource:
        return MemoryKeys()


class HomeTests(SourceCases, TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()) / "keys"

    def source(self) -> KeySource:
        return HomeKeys(self.folder, in_place)

    async def test_files(self) -> None:
        """Keys are for their owner only; two processes that start at once have the same."""
        await self.source().begin()
        (path,) = self.folder.iterdir()
        self.assertEqual((path.name, path.stat().st_mode & 0o777), ("database.1.key", 0o600))
        first = path.read_bytes()
        self.source()._write(DATABASE, 1)
        self.assertEqual([(each.name, each.read_bytes()) for each in self.folder.iterdir()],
                         [(path.name, first)])  # fmt: skip

    async def test_lost(self) -> None:
        """A process that lives never makes a first key: when the folder is away it is told so, and
        nothing is sealed that the keys, once they are back, do not open."""
        source = self.source()
        await source.begin()
        before = await source.load()
        away = self.folder.rename(self.folder.with_name("away"))
        keyring = Keyring(source)
        tx = Transaction("t", never)
        for _ in range(2):
            with self.assertRaises(KeyringError) as refused:
                await keyring.seal(tx, b"secret", "p")
        self.assertIn(str(self.folder), str(refused.exception))
        away.rename(self.folder)
        await source.begin()
        self.assertEqual((await source.load()).keys, before.keys)
        self.assertEqual(await keyring.open(await keyring.seal(tx, b"s", "p"), "p"), b"s")

    async def test_retired_for_good(self) -> None:
        """A key that is retired is in no file, not in what a killed process left of making it."""
        source = self.source()
        await source.begin()
        secret = (self.folder / "database.1.key").read_bytes()
        (self.folder / ".database.1.4711").write_bytes(secret)
        await source.make(DATABASE)
        await source.retire(DATABASE, [1])
        self.assertEqual([each.name for each in self.folder.iterdir()], ["database.2.key"])

    async def test_retired_while_read(self) -> None:
        """Who reads the keys while one is retired gets the others."""
        source = self.source()
        await source.begin()
        await source.make(DATABASE)
        dangling = self.folder / "database.3.key"
        dangling.symlink_to(self.folder / "gone")
        self.assertEqual(await self.versions(source), [2, 1])

    async def test_of_before(self) -> None:
        """The key of an installation before there were versions is version 0, and seals until a
        rotation."""
        self.folder.mkdir(parents=True)
        old = self.folder / "database.key"
        old.write_bytes(b"o" * 32)
        old.chmod(0o600)
        source = self.source()
        self.assertEqual(await self.versions(source), [0])
        self.assertEqual(await source.make(DATABASE), 1)
        self.assertEqual(await self.versions(source), [1, 0])
        await source.retire(DATABASE, [0])
        self.assertFalse(old.exists())

    async def test_refused(self) -> None:
        """Keys that others may read, and keys cut short, are refused with the file's name."""
        source = self.source()
        await source.begin()
        (path,) = self.folder.iterdir()
        path.chmod(0o640)
        with self.assertRaises(KeyringError) as refused:
            await source.load()
        self.assertIn(f"chmod 600 {path}", str(refused.exception))
        path.chmod(0o600)
        path.write_bytes(b"short")
        with self.assertRaises(KeyringError):
            await source.load()


class ListedTests(TestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.write(1)

    def write(self, *versions: int) -> None:
        lines = [
            f"{DATABASE}:{each}:{base64.b64encode(bytes([each]) * 32).decode()}\n"
            for each in versions
        ]
        self.path.write_text("".join(lines))
        self.path.chmod(0o600)

    def settings(self, **own: object) -> Settings:
        return Settings(keyring=KeyringSettings(**own))

    async def test_file(self) -> None:
        """A file that configuration management writes is read anew each time; its first key
        seals."""
        source = source_of(self.settings(file=str(self.path)), in_place)
        self.assertEqual((await source.load()).sealing(DATABASE).version, 1)
        self.write(2, 1)
        self.assertEqual((await source.load()).sealing(DATABASE).version, 2)
        self.path.chmod(0o644)
        with self.assertRaises(KeyringError) as refused:
            await source.load()
        self.assertIn("chmod", str(refused.exception))

    async def test_mistyped(self) -> None:
        """A line in another order is refused without what it holds."""
        secret = base64.b64encode(b"k" * 32).decode()
        for line in (f"{secret}:1:{DATABASE}", f"{secret}:1:{secret}", f"1:{secret}",
                     f"{DATABASE}:{'9' * 5000}:{secret}"):  # fmt: skip
            with self.assertRaises(KeyringError) as refused:
                await source_of(self.settings(keys=(line,)), in_place).load()
            self.assertNotIn(secret[:8], str(refused.exception))

    async def test_not_ours(self) -> None:
        """What is not ours to write is refused with what to do instead."""
        lines = tuple(self.path.read_text().splitlines())
        source = source_of(self.settings(keys=lines), in_place)
        self.assertIsInstance(source, ListedKeys)
        with self.assertRaises(KeyringError) as refused:
            await source.make(DATABASE)
        self.assertIn("keyring.keys", str(refused.exception))
        self.assertIn("database:2:KEY", str(refused.exception))
        with self.assertRaises(KeyringError) as refused:
            await source.retire(DATABASE, [1])
        self.assertIn("version 1", str(refused.exception))
        self.assertNotIn(lines[0].rpartition(":")[2], repr(self.settings(keys=lines)))

    async def test_settings(self) -> None:
        """Keys in two places, none at all, and a missing file are refused."""
        with self.assertRaises(KeyringError):
            source_of(self.settings(keys=("x",), file="y"), in_place)
        for own in ({"keys": ("# none",)}, {"file": os.fspath(self.path) + ".absent"}):
            with self.assertRaises(KeyringError):
                await source_of(self.settings(**own), in_place).load()
