"""The keys of a process that starts, beside a database that may hold sealed secrets."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.internet.utils import getProcessOutputAndValue

from synnefo_tx.application.keyring import open_keyring
from synnefo_tx.ganeti.backends.operations import Registration
from synnefo_tx.keyring.model import DATABASE, KeyringError
from synnefo_tx.settings import Settings
from tests.support.accounts import IN_PLACE
from tests.support.application import build
from tests.support.database import DatabaseTestCase, TestServer, open_database

CLUSTER = Registration("c", "h", 5080, "u", "passw0rd", fingerprint="00" * 32)


class StartTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.settings = Settings(home=Path(self.mktemp()))
        self.folder = self.settings.home / "keys"

    async def start(self, **options: bool) -> list[int]:
        """The versions of a process that starts."""
        keyring = await open_keyring(self.settings, self.database, IN_PLACE.files, **options)
        return [key.version for key in (await keyring.load()).of(DATABASE)]

    async def test_first(self) -> None:
        """A start on an empty database makes the first key, the next has it too; a child makes
        none."""
        with self.assertRaises(KeyringError):
            await self.start(is_child=True)
        self.assertEqual(await self.start(), [1])
        before = (self.folder / "database.1.key").read_bytes()
        self.assertEqual(await self.start(), [1])
        self.assertEqual((self.folder / "database.1.key").read_bytes(), before)

    async def test_before_migration(self) -> None:
        """A database without tables holds no secret."""
        server = TestServer.get()
        self.database = open_database(server.clone("template0"))
        self.addCleanup(self.database.close)
        self.assertEqual(await self.start(), [1])

    async def test_folder_is_gone(self) -> None:
        """A start that finds no key where secrets are sealed makes none and says what to do; with
        what it says to do when the keys are lost, the next one starts."""
        await self.start()
        await build(self.database).ganeti.backends.add(CLUSTER)
        away = self.folder.rename(self.folder.with_name("away"))
        with self.assertRaisesRegex(KeyringError, "backends.*put that folder there") as refused:
            await self.start()
        self.assertFalse(self.folder.exists())
        await self.shell(str(refused.exception).rpartition("lost for good: ")[2])
        self.assertEqual(await self.start(), [1])
        shutil.rmtree(self.folder)
        away.rename(self.folder)
        self.assertEqual(await self.start(), [1])

    async def shell(self, command: str) -> None:
        _, said, status = await getProcessOutputAndValue("/bin/sh", ["-c", command])
        self.assertEqual((status, said), (0, b""))
