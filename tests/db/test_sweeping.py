"""Deleting what is past its time, however much it is."""

from __future__ import annotations

from twisted.internet.defer import CancelledError

from synnefo_tx.console.places import Places
from synnefo_tx.console.store import TicketStore
from synnefo_tx.db.sweeping import STEP_ROWS, STEPS_MAX, sweep, sweep_all
from synnefo_tx.rest.misses import Misses
from tests.support.database import DatabaseTestCase

OLD = "synnefo_now() - interval '2 days'"
USER = "00000000-0000-0000-0000-000000000001"
MORE = STEP_ROWS + 10
FILL = (
    "INSERT INTO request_misses (address, began, misses)"
    f" SELECT n::text, {OLD}, 1 FROM generate_series(1, {MORE}) n",
    "INSERT INTO console_tickets (ticket_hash, user_uuid, server_id, instance, password_sealed,"
    f" expires) SELECT sha256(n::text::bytea), '{USER}', n, 'i', 'x'::bytea, {OLD}"
    f" FROM generate_series(1, {MORE}) n",
    "INSERT INTO console_sessions (session_key, user_uuid, server_id, expires)"
    f" SELECT n::text, '{USER}', n, {OLD} FROM generate_series(1, {MORE}) n",
)


class SweepTests(DatabaseTestCase):
    async def test_in_steps(self) -> None:
        """What is old goes in bounded steps until nothing is left."""
        async with self.database.transaction("fill") as tx:
            for each in FILL:
                await tx.run(each)
        steps = {
            "misses": Misses(self.database, 1, 60.0).sweep,
            "tickets": lambda tx: TicketStore(tx).delete_old(),
            "places": Places(1, 1).sweep,
        }
        for name, step in steps.items():
            async with self.database.transaction("one") as tx:
                self.assertEqual(await step(tx), STEP_ROWS, name)
            self.assertEqual(await sweep(self.database, name, step), 10, name)

    async def test_endless(self) -> None:
        """A run ends, also when there is always more."""
        self.assertEqual(await sweep(self.database, "endless", self.one), STEPS_MAX)

    async def one(self, tx) -> int:
        return await tx.value("SELECT 1")

    async def test_one_fails(self) -> None:
        """A sweep that fails keeps none of those after it, and is told."""
        done = []

        async def broken(tx) -> int:
            raise KeyError("x")

        async def whole(tx) -> int:
            done.append("whole")
            return 0

        with self.assertRaises(KeyError):
            await sweep_all(self.database, {"broken": broken, "whole": whole})
        self.assertEqual(done, ["whole"])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    async def test_stopped(self) -> None:
        """Who is told to stop begins no other sweep."""

        async def stopped(tx) -> int:
            raise CancelledError

        async def never(tx) -> int:
            raise AssertionError("begun")

        with self.assertRaises(CancelledError):
            await sweep_all(self.database, {"stopped": stopped, "never": never})
