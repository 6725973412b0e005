"""When the numbers of the stream mean other changes than before."""

from __future__ import annotations

from synnefo_tx.changes.epochs import Epochs
from synnefo_tx.changes.store import end_of_stream
from tests.support.application import CommandTestCase
from tests.support.database import DatabaseTestCase, TestServer, open_database

RESTORED = (
    "CREATE TABLE restored (LIKE stream_sequence INCLUDING ALL)",
    "INSERT INTO restored SELECT * FROM stream_sequence",
    "DROP TABLE stream_sequence",
    "ALTER TABLE restored RENAME TO stream_sequence",
)
"""What ``pg_restore --clean`` does."""


class EpochTests(DatabaseTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.epochs = Epochs(self.database)

    async def test_same(self) -> None:
        """Another process that numbers goes on in the epoch that there is."""
        before = await end_of_stream(self.database)
        await self.epochs.renew()
        self.assertEqual(await end_of_stream(self.database), before)

    async def test_restored(self) -> None:
        """A database that was restored from a dump has another epoch before a number is given,
        once, and its last number stays."""
        before = await end_of_stream(self.database)
        async with self.database.transaction("restore") as tx:
            for each in RESTORED:
                await tx.run(each)
        await self.epochs.renew()
        after = await end_of_stream(self.database)
        self.assertGreater(after.epoch, before.epoch)
        self.assertEqual(after.n, before.n)
        await self.epochs.renew()
        self.assertEqual(await end_of_stream(self.database), after)

    async def test_clock_set_back(self) -> None:
        """No epoch comes twice, whatever the clock says."""
        async with self.database.transaction("clock") as tx:
            await tx.run("UPDATE stream_sequence SET epoch = epoch + 1000")
        before = await end_of_stream(self.database)
        self.assertEqual(await self.epochs.reset(), before.epoch + 1)
        self.assertEqual(await self.epochs.reset(), before.epoch + 2)


class RestartTests(DatabaseTestCase):
    async def test_started_anew(self) -> None:
        """A copy of the database on a server that was started later, as after recovery to a moment
        or from a snapshot of the disk, has another epoch."""
        before = await end_of_stream(self.database)
        (row,) = await self.database.read(
            "SELECT epoch, last, swept, incarnation FROM stream_sequence"
        )
        later = TestServer()
        self.addCleanup(later.end)
        await later.template()
        copy = open_database(later.clone())
        try:
            async with copy.transaction("restore") as tx:
                await tx.run("DELETE FROM stream_sequence")
                await tx.run(
                    "INSERT INTO stream_sequence (epoch, last, swept, incarnation)"
                    " VALUES (%(epoch)s, %(last)s, %(swept)s, %(incarnation)s)",
                    dict(zip(("epoch", "last", "swept", "incarnation"), row, strict=True)),
                )
            await Epochs(copy).renew()
            self.assertGreater((await end_of_stream(copy)).epoch, before.epoch)
        finally:
            await copy.close()


class CommandTests(CommandTestCase):
    async def test_command(self) -> None:
        """An operator has everybody list anew; it is in the journal."""
        before = await end_of_stream(self.database)
        ran = await self.command("stream-reset")
        self.assertEqual(ran.status, 0, ran.err)
        after = await end_of_stream(self.database)
        self.assertGreater(after.epoch, before.epoch)
        (last, *_) = await self.records("journal-list", "-o", "action,details")
        self.assertEqual(
            (last["action"], last["details"]), ("events:stream:reset", f"epoch {after.epoch}")
        )
