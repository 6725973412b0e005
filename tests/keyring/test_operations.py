"""Keys in a process that lives while they change."""

from __future__ import annotations

from synnefo_tx.db.connect import connector
from synnefo_tx.db.listener import Listener
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.sealing import SealBroken, UnknownKey, header_of
from synnefo_tx.settings import DatabaseSettings
from tests.support.database import DatabaseTestCase
from tests.support.keyring import MemoryKeys
from tests.support.processes import reactor, until


class KeyringTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.keys = MemoryKeys()
        self.listener = Listener(connector(reactor, self.url, DatabaseSettings()), reactor)
        self.hearing, self.deaf = Keyring(self.keys), Keyring(self.keys)
        self.hearing.hear(self.listener)
        self.listener.startService()
        self.addCleanup(self.listener.stopService)

        async def is_hearing() -> bool:
            return self.listener.is_hearing

        await until(is_hearing, 5, "it hears")

    async def version(self, keyring: Keyring) -> int:
        """The version that a keyring seals with."""
        async with self.database.transaction("seal") as tx:
            sealed = await keyring.seal(tx, b"secret", "p")
        for each in (self.hearing, self.deaf):
            self.assertEqual(await each.open(sealed, "p"), b"secret")
        header = header_of(sealed)
        assert header is not None
        return header.version

    async def test_new_version(self) -> None:
        """Who hears seals with a new version once it is told, who does not hear at once; both open
        what the other sealed."""
        self.assertEqual(await self.version(self.hearing), 1)
        loads = self.keys.loads
        self.assertEqual(await self.version(self.hearing), 1)
        self.assertEqual(self.keys.loads, loads, "keys are remembered")
        await self.keys.make("database")
        self.assertEqual(await self.version(self.deaf), 2)
        async with self.database.transaction("tell") as tx:
            await self.deaf.tell(tx)

        async def is_new() -> bool:
            return await self.version(self.hearing) == 2

        await until(is_new, 1, "the new version is heard")

    async def test_not_heard(self) -> None:
        """A process that hears no more reads the keys each time it seals."""
        self.assertEqual(await self.version(self.hearing), 1)
        await self.listener.stopService()
        await self.keys.make("database")
        self.assertEqual(await self.version(self.hearing), 2)

    async def test_broken(self) -> None:
        """What does not open is read for anew once, then refused."""
        async with self.database.transaction("seal") as tx:
            sealed = await self.hearing.seal(tx, b"secret", "p")
        for wrong, purpose in ((sealed, "q"), (sealed[:-1], "p"), (b"", "p")):
            with self.assertRaises(SealBroken):
                await self.hearing.open(wrong, purpose)
        self.keys.versions = [2]
        loads = self.keys.loads
        async with self.database.transaction("tell") as tx:
            await self.deaf.tell(tx)

        async def is_unknown() -> bool:
            try:
                await self.hearing.open(sealed, "p")
            except UnknownKey:
                return True
            return False

        await until(is_unknown, 1, "the retired key is forgotten")
        self.assertGreater(self.keys.loads, loads)
