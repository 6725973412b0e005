"""Log-ins that happen at once, are cut off, or meet a change of their user."""

from __future__ import annotations

from dataclasses import replace

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs

from synnefo_tx.faults import TooManyRequests, Unauthorized
from synnefo_tx.identity.tokens.model import LoginName, Scope
from synnefo_tx.settings import Identity
from tests.support.accounts import accounts
from tests.support.database import DatabaseTestCase
from tests.support.processes import until

EMAIL, PASSWORD = "alice@example.org", "correct horse"
ADDRESS = "192.0.2.1"
GUESSES = 40


class Held:
    """Threads whose work is done when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[None]] = []

    async def run(self, function):
        turn: Deferred[None] = Deferred(lambda _: None)
        self.waiting.append(turn)
        await turn
        return function()

    def go_on(self) -> None:
        """Do what waits, also what nobody waits for."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            if not each.called:
                each.callback(None)


class LoginsTestCase(DatabaseTestCase):
    settings = Identity(login_failures_max=5, login_tokens_per_user_max=3)

    async def setUp(self) -> None:
        await super().setUp()
        self.accounts = accounts(self.database, self.settings)
        self.logins = self.accounts.logins
        created = await self.accounts.users.add(
            EMAIL, "Alice", "A", password=PASSWORD, accepted=True
        )
        self.user = created.uuid

    async def log_in(self, password: str = PASSWORD, logins=None, address: str = ADDRESS) -> str:
        """The secret of a new token."""
        by_password = (logins or self.logins).by_password
        return (await by_password(LoginName(email=EMAIL), password, address, Scope())).secret

    async def outcome(self, password: str, logins=None) -> str:
        """What came of a log-in, by the name of its fault."""
        try:
            await self.log_in(password, logins)
        except (Unauthorized, TooManyRequests) as error:
            return type(error).__name__
        return "in"

    async def failures(self) -> int:
        return (await self.database.read("SELECT count(*) FROM login_failures"))[0][0]


class GuessTests(LoginsTestCase):
    """What an attacker may try."""

    async def test_at_once(self) -> None:
        """Of many guesses at once, in two processes, no more are judged than of as many in a row;
        the right one among those that are not is refused."""
        other = accounts(self.database, self.settings).logins
        held = Held()
        both = [
            evolve(each, passwords=evolve(each.passwords, threads=held))
            for each in (self.logins, other)
        ]
        passwords = [*["wrong"] * GUESSES, PASSWORD]
        running = [
            Deferred.fromCoroutine(self.outcome(password, both[number % 2]))
            for number, password in enumerate(passwords)
        ]

        async def all_wait() -> bool:
            return len(held.waiting) == len(passwords)

        await until(all_wait, 10, "all were let as far as the password")
        held.go_on()
        outcomes = await gatherResults(running)
        self.assertEqual(await self.failures(), self.settings.login_failures_max)
        self.assertEqual(outcomes.count("Unauthorized"), self.settings.login_failures_max)
        self.assertEqual(outcomes.count("in"), 0)

    async def test_cut_off(self) -> None:
        """Who hangs up before the answer has made a guess all the same: otherwise the work of
        hashing would be had without limit."""
        held = Held()
        logins = evolve(self.logins, passwords=evolve(self.accounts.passwords, threads=held))
        for _ in range(self.settings.login_failures_max):
            guess = Deferred.fromCoroutine(self.log_in("wrong", logins))

            async def waits() -> bool:
                return bool(held.waiting)

            await until(waits, 5, "the password is looked at")
            guess.cancel()
            with self.assertRaises(CancelledError):
                await guess
            held.go_on()
        expected = self.settings.login_failures_max

        async def counted() -> bool:
            return await self.failures() == expected

        await until(counted, 5, "all are counted")
        self.assertEqual(await self.outcome(PASSWORD), "TooManyRequests")

    async def test_spellings(self) -> None:
        """Spellings of a name count as one, or each by itself, whether somebody has it or not: who
        could tell would know who is here. (Python has one lower case for the first two.)"""
        await self.accounts.users.add("kelvin@example.org", "K", "K", password=PASSWORD)
        found = []
        for domain in ("example.org", "example.com"):
            for name in ("kelvin", "\N{KELVIN SIGN}elvin", "KELVIN"):
                tried = LoginName(email=f"{name}@{domain}")
                with self.assertRaises(Unauthorized):
                    await self.logins.by_password(tried, "wrong", ADDRESS, Scope())
            found.append(
                await self.database.read(
                    "SELECT count(*) FROM login_failures GROUP BY account ORDER BY 1"
                )
            )
            async with self.database.transaction("forget") as tx:
                await tx.run("DELETE FROM login_failures")
        self.assertEqual(found[0], found[1])

    async def test_no_such_project(self) -> None:
        """A right password that is tried with a project of somebody else's gets a 401, and leaves
        the trace of a log-in: who tries stolen passwords learns none of them unseen."""
        with capturedLogs() as events, self.assertRaises(Unauthorized):
            await self.logins.by_password(
                LoginName(email=EMAIL), PASSWORD, ADDRESS, Scope(project_name="other.example.org")
            )
        self.assertEqual([each.get("user") for each in events if "address" in each], [self.user])
        rows = await self.database.read(
            "SELECT action, object, details, result FROM journal WHERE result = 'refused'"
        )
        self.assertEqual(
            rows, [("identity:token:create", self.user, "password was right", "refused")]
        )
        self.assertIsNotNone((await self.accounts.users.get(self.user)).last_login)
        self.assertEqual(await self.database.read("SELECT * FROM api_tokens"), [])

    async def test_same_work(self) -> None:
        """A right password that does not let in takes one hash, as a wrong one does, also when it
        was hashed with older parameters."""
        old = evolve(
            self.accounts.passwords,
            parameters=replace(self.accounts.passwords.parameters, time_cost=2),
        )
        hashed = await old.hash(PASSWORD)
        async with self.database.transaction("idle") as tx:
            await tx.run("UPDATE users SET is_active = false, password_hash = %(h)s", {"h": hashed})
        for password in (PASSWORD, "wrong"):
            held = Held()
            logins = evolve(self.logins, passwords=evolve(self.accounts.passwords, threads=held))
            running = Deferred.fromCoroutine(self.outcome(password, logins))
            works = 0
            while not running.called:
                works += len(held.waiting)
                held.go_on()
                await deferLater(reactor, 0.01)
            self.assertEqual((await running, works), ("Unauthorized", 1), password)


class TokenTests(LoginsTestCase):
    """What log-ins leave behind."""

    async def names(self) -> list[str]:
        rows = await self.database.read("SELECT name FROM api_tokens ORDER BY id")
        return [row[0] for row in rows]

    async def test_most(self) -> None:
        """One more token than a user may have from log-ins ends the oldest of them: a stolen one
        does not make so many that to end them all takes too long. Others are left."""
        async with self.database.transaction("issue") as tx:
            kept = await self.accounts.tokens.issue(tx, self.user, "laptop")
        first = await self.log_in()
        for _ in range(2):
            last = await self.log_in()
        await self.logins.by_token(last, Scope())
        self.assertEqual(await self.names(), ["laptop", *["log-in"] * 3])
        for each in (kept.secret, last):
            await self.accounts.tokens.authenticate(each)
        with self.assertRaises(Unauthorized):
            await self.accounts.tokens.authenticate(first)

    async def test_revoked_meanwhile(self) -> None:
        """A token that is revoked while another is asked for with it gives none, and a 401."""
        parent = await self.log_in()
        async with self.database.transaction("revoke") as tx:
            await tx.run("DELETE FROM api_tokens")
            asked = Deferred.fromCoroutine(self.logins.by_token(parent, Scope()))
            await self.waiting_for_lock()
        with self.assertRaises(Unauthorized):
            await asked
        self.assertEqual(await self.names(), [])

    async def waiting_for_lock(self) -> None:
        async def waits() -> bool:
            rows = await self.database.read("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return rows[0][0] > 0

        await until(waits, 3, "it waits for the lock")
