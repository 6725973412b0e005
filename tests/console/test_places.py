"""Places of live consoles, and how they are kept."""

from __future__ import annotations

import uuid

from synnefo_tx.console.places import LEASE_SECONDS, RENEWED_SECONDS, Places
from synnefo_tx.db.transaction import Parameters, Result, Transaction
from tests.support.database import DatabaseTestCase

USER = str(uuid.UUID(int=1))
CONSOLES = 500


class RenewalTests(DatabaseTestCase):
    """All live consoles of a process, looked after more than once a second."""

    async def setUp(self) -> None:
        await super().setUp()
        self.places = Places(CONSOLES, CONSOLES)
        self.sessions = [(f"{number:032}", number, USER) for number in range(CONSOLES)]
        self.statements = 0

    async def renew(self) -> None:
        async with self.database.transaction("renew") as tx:

            async def counted(sql: str, parameters: Parameters | None) -> Result:
                self.statements += 1
                return await tx._execute(sql, parameters)

            await self.places.renew(Transaction("counted", counted), self.sessions)

    async def rows(self) -> dict[str, tuple[str, float]]:
        """The version and the seconds left of each place."""
        rows = await self.database.read(
            "SELECT session_key, xmin::text || ' ' || xmax, "
            "extract(epoch FROM expires - synnefo_now())::float8 FROM console_sessions"
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    async def age(self, key: str, seconds: float) -> None:
        async with self.database.transaction("age") as tx:
            await tx.run(
                "UPDATE console_sessions SET expires = expires - make_interval(secs => %(s)s) "
                "WHERE session_key = %(key)s",
                {"s": seconds, "key": key},
            )

    async def test_one_statement(self) -> None:
        """Any number of places is renewed by one statement: a slow database does not make the look
        at many consoles so long that all of them are ended."""
        await self.renew()
        self.assertEqual((self.statements, len(await self.rows())), (1, CONSOLES))

    async def test_written_when_needed(self) -> None:
        """Only a place whose lease is partly over is written; one that was swept is there again."""
        await self.renew()
        old, gone = self.sessions[0][0], self.sessions[1][0]
        await self.age(old, LEASE_SECONDS - RENEWED_SECONDS + 1)
        async with self.database.transaction("gone") as tx:
            await self.places.release(tx, gone)
        before = await self.rows()
        await self.renew()
        after = await self.rows()
        written = {key for key in after if after[key][0] != before.get(key, ("", 0))[0]}
        self.assertEqual(written, {old, gone})
        self.assertGreater(min(left for _, left in after.values()), RENEWED_SECONDS)
