"""One-time tickets, on PostgreSQL."""

from __future__ import annotations

import os

from twisted.internet.defer import Deferred, gatherResults

from synnefo_tx.console.admission import admitted_ticket
from synnefo_tx.console.model import Refusal, bad_ticket
from synnefo_tx.console.tickets import Tickets, UsedTicket
from synnefo_tx.faults import TooManyRequests
from tests.support.database import DatabaseTestCase
from tests.support.keyring import fixed_keyring

USER = "7a9f2c1e-0000-4000-8000-000000000001"
LATER = """
CREATE OR REPLACE FUNCTION synnefo_now() RETURNS timestamptz LANGUAGE sql STABLE
AS $$ SELECT now() + interval '{seconds} seconds' $$
"""


class TicketTests(DatabaseTestCase):
    async def setUp(self):
        await super().setUp()
        self.tickets = Tickets(fixed_keyring(), os.urandom, life_seconds=30, unused_max=3)

    async def issue(self, user=USER, server=42):
        async with self.database.transaction("issue") as tx:
            return await self.tickets.issue(tx, user, server, "instance-uuid")

    async def redeem(self, ticket):
        async with self.database.transaction("redeem") as tx:
            return await self.tickets.redeem(tx, ticket)

    async def pass_time(self, seconds):
        async with self.database.transaction("clock") as tx:
            await tx.run(LATER.format(seconds=seconds))

    async def test_issued_and_used(self):
        """A ticket leads once to what it was issued for; the second use is refused."""
        issued = await self.issue()
        self.assertEqual(len(issued.password), 8)
        used = await self.redeem(issued.ticket)
        self.assertEqual(
            used,
            UsedTicket(used.session_key, USER, 42, "instance-uuid", issued.password),
        )
        self.assertEqual(await self.redeem(issued.ticket), bad_ticket())

    async def test_unknown(self):
        """An unknown ticket gets the same answer as a used one."""
        self.assertEqual(await self.redeem("A" * 43), bad_ticket())

    async def test_expires(self):
        """A ticket works just before its time is over, and not after, by the database's clock."""
        first, second = await self.issue(), await self.issue()
        await self.pass_time(29)
        self.assertIsInstance(await self.redeem(first.ticket), UsedTicket)
        await self.pass_time(31)
        self.assertEqual(await self.redeem(second.ticket), bad_ticket())

    async def test_used_once_under_concurrency(self):
        """Of 50 uses at the same time exactly one holds."""
        issued = await self.issue()
        uses = [Deferred.fromCoroutine(self.redeem(issued.ticket)) for _ in range(50)]
        outcomes = await gatherResults(uses)
        self.assertEqual(sum(isinstance(each, UsedTicket) for each in outcomes), 1)
        self.assertEqual(sum(isinstance(each, Refusal) for each in outcomes), 49)

    async def test_use_that_is_rolled_back(self):
        """A use whose transaction fails has not happened."""
        issued = await self.issue()
        with self.assertRaises(KeyError):
            async with self.database.transaction("redeem") as tx:
                await self.tickets.redeem(tx, issued.ticket)
                raise KeyError
        self.assertIsInstance(await self.redeem(issued.ticket), UsedTicket)

    async def test_limit_per_user(self):
        """Of 20 at once a user gets as many as the limit; others get theirs; used or expired ones
        make room."""

        async def attempt():
            try:
                return await self.issue()
            except TooManyRequests:
                return None

        outcomes = await gatherResults([Deferred.fromCoroutine(attempt()) for _ in range(20)])
        issued = [each for each in outcomes if each is not None]
        self.assertEqual(len(issued), 3)
        await self.issue(user=USER.replace("1", "2"))
        await self.redeem(issued[0].ticket)
        await self.issue()
        with self.assertRaises(TooManyRequests):
            await self.issue()
        await self.pass_time(31)
        await self.issue()

    async def test_nothing_to_read_in_the_database(self):
        """Neither ticket nor password can be read from the rows, nor from a printed value."""
        issued = await self.issue()
        rows = await self.database.read("SELECT t::text FROM console_tickets t")
        text = rows[0][0] + repr(issued) + repr(await self.redeem(issued.ticket))
        for secret in (issued.ticket, issued.password):
            self.assertNotIn(secret, text)
            self.assertNotIn(secret.encode().hex(), text)

    async def test_form(self):
        """A ticket has the form that the console's path asks for."""
        origin = frozenset({"https://x.example"})
        ticket = (await self.issue()).ticket
        head = (
            f"GET /console/{ticket} HTTP/1.1\r\nOrigin: https://x.example\r\n"
            "Sec-WebSocket-Protocol: binary"
        )
        self.assertEqual(admitted_ticket(head.encode(), origin), ticket)

    async def test_sweep(self):
        """Expired tickets are forgotten, others are kept."""
        await self.issue()
        await self.pass_time(31)
        fresh = await self.issue()
        async with self.database.transaction("sweep") as tx:
            self.assertEqual(await self.tickets.sweep(tx), 1)
        self.assertIsInstance(await self.redeem(fresh.ticket), UsedTicket)
