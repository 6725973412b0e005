"""All stored secrets get a new key, while others write them."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from synnefo_tx.application.keyring import SEALED
from synnefo_tx.console.tickets import Tickets, purpose_of
from synnefo_tx.db.connect import connector
from synnefo_tx.db.listener import Listener
from synnefo_tx.db.pool import Transaction
from synnefo_tx.faults import Conflict
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.rotation import BATCH, HEARD_SECONDS, Rotation
from synnefo_tx.keyring.sealing import header_of
from synnefo_tx.settings import DatabaseSettings
from tests.keyring.test_sealing import of_before
from tests.support.database import DatabaseTestCase
from tests.support.keyring import MemoryKeys
from tests.support.processes import reactor, until

SEALED_COLUMNS = """
SELECT table_name, column_name FROM information_schema.columns
WHERE table_schema = 'public' AND column_name LIKE '%sealed'
"""
USER = "7a9f2c1e-0000-4000-8000-000000000001"
INSERT = """
INSERT INTO console_tickets (ticket_hash, user_uuid, server_id, instance, password_sealed, expires)
VALUES (%(hash)s, %(user)s, 1, 'x', %(sealed)s, synnefo_now() + interval '1 hour')
"""
INSERT_BACKEND = """
INSERT INTO backends (clustername, host, port, username, password_sealed, fingerprint)
VALUES (%(name)s, 'h', 5080, 'u', %(sealed)s, 'f')
"""


INSERT_REPLY = """
INSERT INTO idempotent_replies (userid, path, request_key, body_sha256, sealed, created)
VALUES ('user', '/servers', %(key)s, 'x', %(sealed)s, synnefo_now())
"""


class Killed(Exception):
    """What a test ends a rotation with."""


class RotationTests(DatabaseTestCase):
    """A process that hears and writes secrets, and a command that rotates."""

    async def setUp(self) -> None:
        await super().setUp()
        self.keys = MemoryKeys(0)
        self.listener = Listener(connector(reactor, self.url, DatabaseSettings()), reactor)
        self.process, self.command = Keyring(self.keys), Keyring(self.keys)
        self.process.hear(self.listener)
        self.listener.startService()
        self.addCleanup(self.listener.stopService)
        self.rotation = Rotation(self.database, self.command, SEALED, reactor, heard_seconds=0.3)
        self.written: dict[bytes, bytes] = {}
        self.told: list[tuple[int, int]] = []

        async def is_hearing() -> bool:
            return self.listener.is_hearing

        await until(is_hearing, 5, "it hears")

    async def write(self, tx: Transaction, number: int) -> None:
        """Store a secret as the process does."""
        hash, secret = number.to_bytes(32, "big"), f"secret {number}".encode()
        sealed = await self.process.seal(tx, secret, purpose_of(hash))
        await tx.run(INSERT, {"hash": hash, "user": USER, "sealed": sealed})
        self.written[hash] = secret

    async def fill(self, count: int) -> None:
        """Secrets of the key's first version, of before there were versions, and of a cluster."""
        async with self.database.transaction("fill") as tx:
            for number in range(count):
                await self.write(tx, number)
            hash = b"\xff" * 32
            values: dict[str, Any] = {"hash": hash, "user": USER}
            values["sealed"] = of_before(b"of before", purpose_of(hash), b"n" * 12)
            await tx.run(INSERT, values)
            self.written[hash] = b"of before"
            sealed = await self.process.seal(tx, b"cluster", "rapi-password")
            await tx.run(INSERT_BACKEND, {"name": "c", "sealed": sealed})
            for number in range(2):
                reply = await self.process.seal(tx, b"reply", "idempotent-reply")
                await tx.run(INSERT_REPLY, {"key": f"key {number}", "sealed": reply})
            await tx.run(INSERT_REPLY, {"key": "no reply yet", "sealed": None})

    async def versions(self) -> set[int | None]:
        """The versions in use, told by the values themselves; every one opens to what it was."""
        rows = await self.database.read("SELECT ticket_hash, password_sealed FROM console_tickets")
        found: set[int | None] = set()
        fresh = Keyring(self.keys)
        for hash, sealed in rows:
            hash, sealed = bytes(hash), bytes(sealed)
            self.assertEqual(await fresh.open(sealed, purpose_of(hash)), self.written[hash])
            header = header_of(sealed)
            found.add(header.version if header else None)
        self.assertEqual(len(rows), len(self.written))
        ((sealed,),) = await self.database.read("SELECT password_sealed FROM backends")
        self.assertEqual(await fresh.open(bytes(sealed), "rapi-password"), b"cluster")
        replies = await self.database.read(
            "SELECT sealed FROM idempotent_replies WHERE sealed IS NOT NULL"
        )
        for (sealed,) in replies:
            self.assertEqual(await fresh.open(bytes(sealed), "idempotent-reply"), b"reply")
        self.assertEqual(len(replies), 2)
        return found

    def tell(self, done: int, total: int) -> None:
        self.told.append((done, total))

    async def test_columns(self) -> None:
        """Every column of sealed values is rotated."""
        known = {(each.table, each.column) for each in SEALED}
        self.assertEqual(set(await self.database.read(SEALED_COLUMNS)), known)

    async def test_rotated(self) -> None:
        """All values get the new version, progress is told, old versions go when unused."""
        await self.fill(2 * BATCH)
        self.assertEqual(await self.versions(), {0, None})
        done = await self.rotation.rotate(self.tell)
        self.assertEqual((done.version, done.is_new, done.broken), (1, True, ()))
        self.assertEqual(done.count, 2 * BATCH + 4)
        self.assertEqual(await self.versions(), {1})
        self.assertEqual(self.told[-1], (done.count, done.count))
        self.assertEqual(self.told, sorted(self.told))
        self.assertEqual(await self.rotation.retire(), [0])
        self.assertEqual(self.keys.versions, [1])
        self.assertEqual(await self.versions(), {1})
        self.assertEqual(await self.rotation.retire(), [])

    async def test_under_load(self) -> None:
        """Killed in the middle and run again while others write all the time, one of them in a
        transaction that is open throughout: every value opens, none has the old version."""
        self.rotation = evolve(self.rotation, heard_seconds=HEARD_SECONDS)
        await self.fill(2 * BATCH)
        late: Deferred[None] = Deferred()
        writing = Deferred.fromCoroutine(self.write_late(late))
        self.busy = True
        load = Deferred.fromCoroutine(self.keep_writing())
        await deferLater(reactor, 0.1)

        def die(done: int, total: int) -> None:
            raise Killed

        with self.assertRaises(Killed):
            await self.rotation.rotate(die)
        self.assertEqual(max(self.keys.versions), 1)
        self.assertIn(0, await self.versions_now())
        reactor.callLater(1.6, late.callback, None)
        done = await self.rotation.rotate(self.tell)
        self.assertEqual((done.version, done.is_new), (1, False))
        self.busy = False
        await load
        await writing
        self.assertEqual(await self.versions(), {1})
        self.assertEqual(await self.rotation.retire(), [0])

    async def test_two_at_once(self) -> None:
        """Two operators who rotate at once under load leave values that all open, with a version
        that both know, and one more run makes the others unused."""
        await self.fill(2 * BATCH)
        self.busy = True
        load = Deferred.fromCoroutine(self.keep_writing())
        other = evolve(self.rotation, keyring=Keyring(self.keys))
        both = [Deferred.fromCoroutine(each.rotate(self.tell)) for each in (self.rotation, other)]
        done = await gatherResults(both)
        self.busy = False
        await load
        self.assertFalse([each.broken for each in done if each.broken])
        newest = max(self.keys.versions)
        await self.rotation.rotate(self.tell)
        self.assertLessEqual(await self.versions(), {newest, newest + 1})
        await self.rotation.retire()
        self.assertEqual(await self.versions(), set(self.keys.versions))

    async def versions_now(self) -> set[int]:
        return {each.version for each in await self.rotation.usage() if each.version is not None}

    async def write_late(self, late: Deferred[None]) -> None:
        """Seal at once, commit when ``late`` says so."""
        async with self.database.transaction("late") as tx:
            await self.write(tx, 10**6)
            await late

    async def keep_writing(self) -> None:
        number = 10**7
        while self.busy:
            async with self.database.transaction("write") as tx:
                await self.write(tx, number)
            number += 1
            await deferLater(reactor, 0.01)

    async def test_open_transaction(self) -> None:
        """A transaction that may hold the old version and does not end keeps the rotation from
        its end, and the old version from being removed."""
        self.rotation = evolve(self.rotation, transactions_limit_seconds=0.2)
        await self.fill(1)
        late: Deferred[None] = Deferred()
        writing = Deferred.fromCoroutine(self.write_late(late))
        with self.assertRaises(Conflict):
            await self.rotation.rotate(self.tell)
        with self.assertRaises(Conflict):
            await self.rotation.retire()
        late.callback(None)
        await writing
        with self.assertRaises(Conflict) as used:
            await self.rotation.retire()
        self.assertIn("1 in console_tickets", str(used.exception))
        self.assertEqual(self.keys.versions, [0, 1])
        self.assertFalse((await self.rotation.rotate(self.tell)).is_new)
        self.assertEqual(await self.versions(), {1})

    async def test_broken(self) -> None:
        """Values that were tampered with, or sealed elsewhere, are named and left as they are;
        the others are rotated."""
        await self.fill(3)
        async with self.database.transaction("tamper") as tx:
            await tx.run(
                "UPDATE console_tickets SET password_sealed = password_sealed || 'x'::bytea "
                "WHERE ticket_hash = %(hash)s",
                {"hash": (1).to_bytes(32, "big")},
            )
        del self.written[(1).to_bytes(32, "big")]
        done = await self.rotation.rotate(self.tell)
        self.assertEqual(done.broken, ("console_tickets 0000000000000000",))
        with self.assertRaises(Conflict):
            await self.rotation.retire()
        self.assertEqual(self.keys.versions, [0, 1])
        async with self.database.transaction("gone") as tx:
            await tx.run(
                "DELETE FROM console_tickets WHERE ticket_hash = %(hash)s",
                {"hash": (1).to_bytes(32, "big")},
            )
        self.assertEqual(await self.versions(), {1})
        self.assertEqual(await self.rotation.retire(), [0])

    async def test_tickets(self) -> None:
        """A console ticket that was issued before a rotation is used after it."""
        tickets = Tickets(self.process, lambda count: b"r" * count)
        async with self.database.transaction("issue") as tx:
            issued = await tickets.issue(tx, USER, 1, "instance")
        await self.rotation.rotate(self.tell)
        await self.rotation.retire()
        async with self.database.transaction("redeem") as tx:
            used = await tickets.redeem(tx, issued.ticket)
        self.assertEqual(used.password, issued.password)
