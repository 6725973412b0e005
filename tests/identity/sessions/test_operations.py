"""Browsers that are signed in, and how long that lasts."""

from __future__ import annotations

from datetime import timedelta

from attrs import evolve
from twisted.internet import reactor
from twisted.logger import capturedLogs

from synnefo_tx.caller import Caller
from synnefo_tx.db.connect import connector
from synnefo_tx.db.listener import Listener
from synnefo_tx.faults import ItemNotFound, TooManyRequests, Unauthorized
from synnefo_tx.identity.secret import digest
from synnefo_tx.identity.sessions.model import Visitor
from synnefo_tx.identity.sessions.operations import USE_NOTED_SECONDS
from synnefo_tx.identity.users.model import UserChanges
from synnefo_tx.settings import DatabaseSettings, Identity
from tests.support.accounts import accounts
from tests.support.database import DatabaseTestCase
from tests.support.processes import until

EMAIL, PASSWORD = "alice@example.org", "correct horse"
LIMIT_SECONDS = 1.0
REFUSE_UPDATES = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'refused' USING ERRCODE = (SELECT code FROM refusal);
END $$;
CREATE TABLE refusal (code text);
CREATE TRIGGER refused BEFORE UPDATE ON sessions EXECUTE FUNCTION refuse();
"""
HERE = Visitor("192.0.2.1", "a browser")


class SessionsTestCase(DatabaseTestCase):
    settings = Identity(sessions_per_user_max=3)

    async def setUp(self) -> None:
        await super().setUp()
        self.accounts = accounts(self.database, self.settings)
        self.sessions = self.accounts.sessions
        created = await self.accounts.users.add(
            EMAIL, "Alice", "A", password=PASSWORD, accepted=True
        )
        self.user = created.uuid

    async def sign_in(self, old: str | None = None) -> str:
        visitor = Visitor(HERE.address, HERE.browser, old)
        return (await self.sessions.sign_in(EMAIL, PASSWORD, visitor)).value

    async def is_in(self, value: str) -> bool:
        return await self.sessions.examine(value) is not None

    async def change(self, sql: str, **values: object) -> None:
        async with self.database.transaction("change") as tx:
            await tx.run(sql, values)

    async def pass_time(self, seconds: float, *columns: str) -> None:
        """Let sessions be older by the time in ``columns``."""
        for column in columns:
            await self.change(
                f"UPDATE sessions SET {column} = {column} - %(s)s * interval '1 second'", s=seconds
            )

    async def count(self) -> int:
        return (await self.database.read("SELECT count(*) FROM sessions"))[0][0]


class SessionTests(SessionsTestCase):
    async def test_signed_in(self) -> None:
        """A password gives a session, which stands for its user; only its digest is kept."""
        signed_in = await self.sessions.sign_in(EMAIL.upper(), PASSWORD, HERE)
        access = await self.sessions.examine(signed_in.value)
        caller = access.caller
        self.assertEqual((caller.user, caller.email, caller.token_id), (self.user, EMAIL, 0))
        self.assertEqual(caller.projects, (self.user,))
        self.assertGreaterEqual(len(signed_in.value), 43)
        (row,) = await self.database.read("SELECT sha256, address, browser, id FROM sessions")
        self.assertEqual(bytes(row[0]), digest(signed_in.value))
        self.assertEqual(row[1:], (HERE.address, HERE.browser, caller.session_id))
        self.assertNotIn(signed_in.value, repr(signed_in))
        left = access.expires - access.created
        self.assertAlmostEqual(left.total_seconds(), 12 * 3600, delta=60)
        with self.assertRaises(Unauthorized):
            await self.accounts.tokens.authenticate(signed_in.value)

    async def test_refused(self) -> None:
        """Unknown users, wrong passwords and the disabled get one answer, and no session; after
        too many nothing is tried any more (SEC24)."""
        await self.accounts.users.add("idle@example.org", "I", "D", password=PASSWORD)
        texts = set()
        for email, password in (
            (EMAIL, "wrong"),
            ("nobody@example.org", PASSWORD),
            ("idle@example.org", PASSWORD),
            (EMAIL, ""),
            ("", ""),
        ):
            with self.assertRaises(Unauthorized) as refused:
                await self.sessions.sign_in(email, password, HERE)
            texts.add(str(refused.exception))
        self.assertEqual(len(texts), 1)
        for _ in range(self.settings.login_failures_max - 2):
            with self.assertRaises(Unauthorized):
                await self.sessions.sign_in(EMAIL, "wrong", HERE)
        with self.assertRaises(TooManyRequests):
            await self.sessions.sign_in(EMAIL, PASSWORD, HERE)
        self.assertEqual(await self.count(), 0)

    async def test_logged(self) -> None:
        """Who signed in, and that somebody was refused, is logged with the address (ASVS 16.3.1);
        neither the password nor the cookie's value is."""
        with capturedLogs() as events:
            value = await self.sign_in()
            with self.assertRaises(Unauthorized):
                await self.sessions.sign_in(EMAIL, "wr0ng password", HERE)
        told = [each for each in events if each.get("address") == HERE.address]
        self.assertEqual([each["log_format"] for each in told], ["log-in", "log-in refused"])
        self.assertEqual(told[0]["user"], self.user)
        for secret in (value, PASSWORD, "wr0ng password"):
            self.assertNotIn(secret, str(events))

    async def test_new_value(self) -> None:
        """Each sign-in has a new value, and ends the session that the browser had (ASVS 7.2.4)."""
        first = await self.sign_in()
        second = await self.sign_in(old=first)
        self.assertNotEqual(first, second)
        self.assertEqual((await self.is_in(first), await self.is_in(second)), (False, True))

    async def test_idle(self) -> None:
        """Who does nothing for twelve hours is signed out; use keeps a session, for seven days."""
        value = await self.sign_in()
        await self.pass_time(12 * 3600 - 30, "created", "last_used")
        self.assertTrue(await self.is_in(value))
        await self.pass_time(12 * 3600 - 30, "created", "last_used")
        self.assertTrue(await self.is_in(value))
        await self.pass_time(6 * 86400 + 100, "created")
        self.assertFalse(await self.is_in(value))
        other = await self.sign_in()
        await self.pass_time(12 * 3600, "last_used")
        self.assertFalse(await self.is_in(other))

    async def test_staff(self) -> None:
        """Whoever becomes staff has an hour and twelve, from then on."""
        value = await self.sign_in()
        await self.pass_time(3600, "last_used")
        await self.change("UPDATE users SET is_admin = true")
        self.assertFalse(await self.is_in(value))
        await self.change("UPDATE users SET is_admin = false, groups = '{helpdesk}'")
        value = await self.sign_in()
        access = await self.sessions.examine(value)
        self.assertLessEqual(access.expires - access.created, timedelta(hours=1))
        await self.pass_time(12 * 3600, "created")
        self.assertFalse(await self.is_in(value))

    async def test_listed(self) -> None:
        """Who looks where they are signed in sees no session that has ended by itself: staff do not
        for eleven hours see the one of an hour ago."""
        value = await self.sign_in()
        caller = (await self.sessions.examine(value)).caller
        await self.pass_time(2 * 3600, "last_used")
        self.assertEqual(len(await self.sessions.list_of(caller)), 1)
        staff = evolve(caller, roles=frozenset({"helpdesk"}))
        self.assertEqual(await self.sessions.list_of(staff), [])
        await self.pass_time(7 * 86400, "created")
        self.assertEqual(await self.sessions.list_of(caller), [])

    async def test_use_noted(self) -> None:
        """When a session was used is written once a minute at most."""
        value = await self.sign_in()

        async def versions() -> int:
            rows = await self.database.read("SELECT xmin::text::bigint FROM sessions")
            return rows[0][0]

        before = await versions()
        await self.pass_time(USE_NOTED_SECONDS - 20, "last_used")
        aged = await versions()
        self.assertNotEqual(before, aged)
        for _ in range(3):
            self.assertTrue(await self.is_in(value))
        self.assertEqual(await versions(), aged)
        await self.pass_time(30, "last_used")
        aged = await versions()
        self.assertTrue(await self.is_in(value))
        noted = await versions()
        self.assertNotEqual(noted, aged)
        self.assertTrue(await self.is_in(value))
        self.assertEqual(await versions(), noted)

    async def test_use_not_noted(self) -> None:
        """A database that can only be read, or that is full, lets in who is signed in."""
        value = await self.sign_in()
        await self.pass_time(USE_NOTED_SECONDS + 1, "last_used")
        await self.change(REFUSE_UPDATES)
        for code in ("25006", "53100"):
            await self.change("DELETE FROM refusal; INSERT INTO refusal VALUES (%(c)s)", c=code)
            self.assertTrue(await self.is_in(value), code)

    async def test_most(self) -> None:
        """One more browser than a user may have ends the one that was unused for longest."""
        values = []
        for _ in range(4):
            values.append(await self.sign_in())
            await self.pass_time(10, "last_used")
        self.assertEqual([await self.is_in(each) for each in values], [False, True, True, True])

    async def test_ended(self) -> None:
        """A session is ended by its number, by nobody else's user; then it is gone."""
        value = await self.sign_in()
        id = (await self.sessions.examine(value)).caller.session_id
        stranger = "00000000-0000-0000-0000-000000000001"
        with self.assertRaises(ItemNotFound):
            await self.sessions.end(id, stranger)
        self.assertTrue(await self.is_in(value))
        self.assertEqual([each.id for each in await self.sessions.list_of(Caller(self.user))], [id])
        await self.sessions.end(id, self.user)
        self.assertFalse(await self.is_in(value))
        with self.assertRaises(ItemNotFound):
            await self.sessions.end(id)

    async def test_user_changed(self) -> None:
        """A new password ends all sessions, and so does disabling, for good (ASVS 7.4.2, 7.4.3)."""
        users = self.accounts.users
        value = await self.sign_in()
        await users.modify(self.user, UserChanges(password="battery staple"))
        self.assertFalse(await self.is_in(value))
        await users.modify(self.user, UserChanges(password=PASSWORD))
        value = await self.sign_in()
        await users.modify(self.user, UserChanges(renew_token=True))
        self.assertTrue(await self.is_in(value))
        await users.modify(self.user, UserChanges(state="deactivate"))
        self.assertFalse(await self.is_in(value))
        await users.modify(self.user, UserChanges(state="activate"))
        self.assertFalse(await self.is_in(value))

    async def test_swept(self) -> None:
        """Sessions past their time are removed, others stay."""
        await self.sign_in()
        await self.pass_time(12 * 3600, "last_used")
        await self.sign_in()
        await self.pass_time(7 * 86400, "created")
        value = await self.sign_in()
        async with self.database.transaction("sweep") as tx:
            self.assertEqual(await self.sessions.sweep(tx), 2)
        self.assertTrue(await self.is_in(value))
        self.assertEqual(await self.count(), 1)


class RememberedTests(SessionsTestCase):
    """A process that remembers sessions because it hears of their end."""

    async def setUp(self) -> None:
        await super().setUp()
        self.listener = Listener(connector(reactor, self.url, DatabaseSettings()), reactor)
        self.sessions = accounts(self.database, self.settings, self.listener).sessions
        self.listener.startService()
        self.addCleanup(self.listener.stopService)

        async def is_hearing() -> bool:
            return self.listener.is_hearing

        await until(is_hearing, 5, "it hears")

    async def test_ended_elsewhere(self) -> None:
        """A session that another process ended is refused within a second."""
        value = await self.sign_in()
        self.assertTrue(await self.is_in(value))
        self.assertEqual(len(self.sessions.cache), 1)
        await self.change("DELETE FROM sessions")

        async def is_out() -> bool:
            return not await self.is_in(value)

        await until(is_out, LIMIT_SECONDS, "the session is refused")

    async def test_not_heard(self) -> None:
        """While nothing can be heard a session is read each time."""
        value = await self.sign_in()
        await self.listener.stopService()
        await self.change("DELETE FROM sessions")
        self.assertFalse(await self.is_in(value))
