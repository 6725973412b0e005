"""Who is let in for longer than a request, and is told when that ends."""

from __future__ import annotations

import secrets

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.caller import Caller
from synnefo_tx.db.connect import connector
from synnefo_tx.db.listener import Deaf, Hearing, Listener
from synnefo_tx.identity.access.changes import UNCHECKED, UNCHECKED_SECONDS, AccessChanges
from synnefo_tx.identity.access.store import INACTIVE, SESSION_ENDED, TOKEN_ENDED
from synnefo_tx.identity.projects.store import ProjectStore
from synnefo_tx.settings import DatabaseSettings, Identity
from tests.support.accounts import accounts
from tests.support.database import DatabaseTestCase
from tests.support.identity import make_project, make_user
from tests.support.processes import until

LIMIT_SECONDS = 1.0
INSERT_SESSION = """
INSERT INTO sessions (user_uuid, sha256, address, browser)
VALUES (%(user)s, %(sha256)s, '127.0.0.1', 'a test') RETURNING id
"""


class WatchTestCase(DatabaseTestCase):
    """A user who came with a token and is watched."""

    settings = Identity()

    async def setUp(self) -> None:
        await super().setUp()
        self.access = AccessChanges(self.database, self.settings, await self.hearing(), reactor)
        self.tokens = accounts(self.database).tokens
        self.user = await make_user(self.database, "user@example.org")
        async with self.database.transaction("token") as tx:
            self.issued = await self.tokens.issue(tx, self.user, "one")
        self.caller = await self.tokens.authenticate(self.issued.secret)
        self.lost: list[str] = []
        self.changed: list[Caller] = []

    async def hearing(self) -> Hearing:
        return Deaf()

    def watch(self, caller: Caller) -> None:
        watch = self.access.watch(caller, self.lost.append, self.changed.append)
        self.addCleanup(watch.end)

    async def session(self) -> int:
        """A session of the user."""
        async with self.database.transaction("session") as tx:
            values = {"user": self.user, "sha256": secrets.token_bytes(32)}
            return int(await tx.value(INSERT_SESSION, values))

    async def change(self, sql: str, **values: object) -> None:
        """A change by another process, that knows nothing of this one."""
        async with self.database.transaction("elsewhere") as tx:
            await tx.run(sql, values)

    async def told(self, reason: str) -> None:
        """The loss is told once, within a second, with the reason."""

        async def is_told() -> bool:
            return bool(self.lost)

        await until(is_told, LIMIT_SECONDS, "the loss is told")
        self.assertEqual(self.lost, [reason])
        self.lost.clear()

    async def ends(self) -> None:
        """Each of the acts that end access is told, with its reason, and others are not hit."""
        other = await make_user(self.database, "other@example.org")
        bystander: list[str] = []
        self.addCleanup(self.access.watch(Caller(other), bystander.append).end)
        self.watch(Caller(self.user, session_id=await self.session()))
        await self.change("DELETE FROM sessions")
        await self.told(SESSION_ENDED)
        self.watch(self.caller)
        await self.change("DELETE FROM api_tokens WHERE id = %(id)s", id=self.issued.id)
        await self.told(TOKEN_ENDED)
        self.watch(Caller(self.user))
        await self.change("UPDATE users SET is_active = false WHERE uuid = %(id)s", id=self.user)
        await self.told(INACTIVE)
        self.assertEqual(bystander, [])


class HeardTests(WatchTestCase):
    """Changes are heard from the database."""

    async def hearing(self) -> Hearing:
        self.listener = Listener(connector(reactor, self.url, DatabaseSettings()), reactor)
        return self.listener

    async def setUp(self) -> None:
        await super().setUp()
        self.listener.startService()
        self.addCleanup(self.listener.stopService)

        async def is_hearing() -> bool:
            return self.listener.is_hearing

        await until(is_hearing, 5, "it hears")

    async def test_ends(self) -> None:
        """A session, a token and a user ended elsewhere are told within a second."""
        await self.ends()

    async def test_membership(self) -> None:
        """A membership given or taken is told with who the caller is now."""
        owner = await make_user(self.database, "owner@example.org")
        self.watch(self.caller)
        project = await make_project(self.database, owner, [self.user], {})

        async def is_member() -> bool:
            return bool(self.changed) and project in self.changed[-1].projects

        async def is_none() -> bool:
            return not await is_member()

        await until(is_member, LIMIT_SECONDS, "the project is told")
        async with self.database.transaction("removed") as tx:
            await ProjectStore(tx).set_member(project, self.user, "removed")
        await until(is_none, LIMIT_SECONDS, "the loss of the project is told")
        self.assertEqual(self.changed[-1], self.caller)
        self.assertEqual(self.lost, [])

    async def test_hearing_lost(self) -> None:
        """When nothing is heard any more, changes are found by looking."""
        self.watch(self.caller)
        await self.listener.stopService()
        await self.change("DELETE FROM api_tokens WHERE id = %(id)s", id=self.issued.id)
        await self.told(TOKEN_ENDED)

    async def test_expiry(self) -> None:
        """A token's own end is told without anybody's act, and a session's idle end."""
        session = Caller(self.user, session_id=await self.session())
        later = "last_used = last_used - interval '1 second' * %(s)s"
        idle = self.settings.session_idle_seconds
        await self.change(f"UPDATE sessions SET {later}", s=idle - 1)
        await self.change(
            "UPDATE api_tokens SET expires = synnefo_now() + interval '1 second' WHERE id = %(id)s",
            id=self.issued.id,
        )
        self.watch(self.caller)
        self.watch(session)

        async def both() -> bool:
            return len(self.lost) == 2

        await until(both, 1 + 2 * LIMIT_SECONDS, "both are told")
        self.assertEqual(set(self.lost), {TOKEN_ENDED, SESSION_ENDED})


class DeafTests(WatchTestCase):
    """Nothing can be heard."""

    async def test_ends(self) -> None:
        """A session, a token and a user ended elsewhere are told within a second all the same."""
        await self.ends()

    async def test_changed_before(self) -> None:
        """What changed between a caller's authentication and the watch is told too."""
        await self.change("DELETE FROM api_tokens WHERE id = %(id)s", id=self.issued.id)
        self.watch(self.caller)
        self.assertEqual(self.lost, [])
        await self.told(TOKEN_ENDED)

    async def test_ended_watch(self) -> None:
        """Who stopped watching is told nothing, not even of what is being looked at."""
        watch = self.access.watch(self.caller, self.lost.append)
        await self.change("DELETE FROM api_tokens WHERE id = %(id)s", id=self.issued.id)
        watch.end()
        watch.end()
        self.assertEqual(await self.access.refusal(self.caller), TOKEN_ENDED)
        self.assertEqual(self.lost, [])


class NoDatabase:
    """Never answers."""

    def __init__(self) -> None:
        self.asked = 0

    async def read(self, sql, values):
        self.asked += 1
        return await Deferred()


class FailClosedTests(SynchronousTestCase):
    def test_unchecked(self) -> None:
        """When nobody can tell for five seconds whether somebody may stay, they may not."""
        clock, database = Clock(), NoDatabase()
        access = AccessChanges(database, Identity(), Deaf(), clock)
        lost: list[str] = []
        access.watch(Caller("somebody", token_id=1), lost.append)
        clock.pump([0.1] * int(10 * UNCHECKED_SECONDS - 1))
        self.assertEqual(lost, [])
        clock.pump([0.1] * 40)
        self.assertEqual(lost, [UNCHECKED])
        self.assertGreater(database.asked, 1)
        self.assertEqual(clock.getDelayedCalls(), [])
