"""Tokens that are remembered, and how they are forgotten."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.caller import Caller
from synnefo_tx.db.connect import connector
from synnefo_tx.db.listener import Listener
from synnefo_tx.faults import Unauthorized
from synnefo_tx.identity.access.cache import AccessCache
from synnefo_tx.identity.access.changes import KEPT_SECONDS, AccessChanges
from synnefo_tx.identity.access.model import Access
from synnefo_tx.identity.projects.store import ProjectStore
from synnefo_tx.identity.secret import digest
from synnefo_tx.identity.tokens.operations import Tokens
from synnefo_tx.settings import DatabaseSettings, Identity
from tests.support.database import DatabaseTestCase
from tests.support.identity import make_project, make_user
from tests.support.processes import until

HEARD_SECONDS = 1.0
KEYS = [b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"]


class Told:
    """Access whose changes a test tells."""

    is_hearing = True

    def subscribe(self, changed: Callable[[str], None]) -> None:
        self.tell = changed


class Looked(dict[bytes, object]):
    """Entries that count how often somebody goes through all of them."""

    looks = 0

    def items(self):
        self.looks += 1
        return super().items()

    def values(self):
        self.looks += 1
        return super().values()


class ManyUsersTests(SynchronousTestCase):
    """What is kept, without a database."""

    def setUp(self) -> None:
        self.access, self.clock = Told(), Clock()
        self.cache = AccessCache(self.access, self.clock, 4)

    def put(self, key: bytes, user: str) -> None:
        moment = datetime(2030, 1, 1, tzinfo=UTC)
        access = Access(Caller(user), user, moment, moment, "")
        self.cache.put(key, access, KEPT_SECONDS, self.cache.changes)

    def kept(self) -> set[bytes]:
        return {key for key in KEYS if self.cache.get(key) is not None}

    def test_one_user(self) -> None:
        """A change of one user forgets what is theirs, of whatever tokens, and nothing else."""
        for key, user in ((b"a", "u"), (b"b", "v"), (b"c", "u"), (b"a", "u")):
            self.put(key, user)
        self.access.tell("nobody")
        self.assertEqual(self.kept(), {b"a", b"b", b"c"})
        self.access.tell("u")
        self.assertEqual(self.kept(), {b"b"})
        self.access.tell("")
        self.assertEqual(self.kept(), set())

    def test_thousand_users(self) -> None:
        """A thousand users change at once (a sweep of their tokens) and nobody goes through all
        that is kept a thousand times: that stopped the process for seconds."""
        self.put(b"a", "u")
        self.cache._entries = entries = Looked(self.cache._entries)
        for number in range(1000):
            self.access.tell(f"user {number}")
        self.assertEqual((entries.looks, self.kept()), (0, {b"a"}))

    def test_nothing_left(self) -> None:
        """What was put out for room, or is over, leaves nothing behind."""
        for number, key in enumerate(KEYS):
            self.put(key, f"user {number % 3}")
        self.assertEqual(self.kept(), {b"e", b"f", b"g", b"h"})
        self.clock.advance(KEPT_SECONDS)
        self.assertEqual((self.kept(), len(self.cache), self.cache._of_user), (set(), 0, {}))


class AccessCacheTests(DatabaseTestCase):
    """Two tokens of one user and one of another, remembered by a process that listens."""

    async def setUp(self) -> None:
        await super().setUp()
        self.listener = Listener(connector(reactor, self.url, DatabaseSettings()), reactor)
        self.clock = Clock()
        access = AccessChanges(self.database, Identity(), self.listener, self.clock)
        self.cache = AccessCache(access, self.clock, 2)
        self.tokens = Tokens(self.database, Identity(), secrets.token_bytes, self.cache)
        self.listener.startService()
        self.addCleanup(self.listener.stopService)

        async def is_hearing() -> bool:
            return self.listener.is_hearing

        await until(is_hearing, 5, "it hears")
        self.user = await make_user(self.database, "user@example.org")
        async with self.database.transaction("token") as tx:
            self.issued = await self.tokens.issue(tx, self.user, "one")

    async def use(self) -> frozenset[str]:
        """Use the token; the caller's projects."""
        return frozenset((await self.tokens.authenticate(self.issued.secret)).projects)

    async def is_refused(self) -> bool:
        try:
            await self.use()
        except Unauthorized:
            return True
        return False

    async def change(self, sql: str, **values: object) -> None:
        """A change by another process, that knows nothing of this one."""
        async with self.database.transaction("elsewhere") as tx:
            await tx.run(sql, values)

    async def test_remembered(self) -> None:
        """A token that was read is not read again while nothing changes."""
        await self.use()
        self.assertIsNotNone(self.cache.get(digest(self.issued.secret)))
        await self.use()

    async def test_revoked(self) -> None:
        """A token that was deleted is refused within a second."""
        await self.use()
        await self.change("DELETE FROM api_tokens WHERE id = %(id)s", id=self.issued.id)
        await until(self.is_refused, HEARD_SECONDS, "the token is refused")

    async def test_disabled(self) -> None:
        """A disabled user is refused within a second."""
        await self.use()
        await self.change("UPDATE users SET is_active = false WHERE uuid = %(id)s", id=self.user)
        await until(self.is_refused, HEARD_SECONDS, "the user is refused")

    async def test_membership(self) -> None:
        """A membership given or taken counts within a second, and so does a suspended project."""
        owner = await make_user(self.database, "owner@example.org")
        await self.use()
        project = await make_project(self.database, owner, [self.user], {})

        async def is_member() -> bool:
            return project in await self.use()

        async def is_none() -> bool:
            return not await is_member()

        await until(is_member, HEARD_SECONDS, "the project is seen")
        await self.change("UPDATE projects SET state = 'suspended' WHERE uuid = %(id)s", id=project)
        await until(is_none, HEARD_SECONDS, "the suspended project is gone")
        await self.change("UPDATE projects SET state = 'active' WHERE uuid = %(id)s", id=project)
        await until(is_member, HEARD_SECONDS, "the project is seen again")
        async with self.database.transaction("removed") as tx:
            await ProjectStore(tx).set_member(project, self.user, "removed")
        await until(is_none, HEARD_SECONDS, "the removed member sees it no more")

    async def test_not_heard(self) -> None:
        """While nothing can be heard every request reads the token anew."""
        await self.use()
        await self.listener.stopService()
        await self.change("DELETE FROM api_tokens WHERE id = %(id)s", id=self.issued.id)
        self.assertTrue(await self.is_refused())

    async def test_changed_while_read(self) -> None:
        """What was read before a change that was heard since is not remembered."""
        access = await self.tokens.examine(self.issued.secret)
        before = self.cache.changes
        await self.change("UPDATE users SET is_admin = true WHERE uuid = %(id)s", id=self.user)

        async def heard() -> bool:
            return self.cache.changes > before

        await until(heard, HEARD_SECONDS, "the change is heard")
        self.cache.put(digest(self.issued.secret), access, 100.0, before)
        self.assertEqual(len(self.cache), 0)

    async def test_bounds(self) -> None:
        """A few are remembered, for a while, and none beyond its token's own end."""
        access = await self.tokens.examine(self.issued.secret)
        for key in (b"a", b"b", b"c"):
            self.cache.put(key, access, 5.0 if key == b"c" else 100.0, self.cache.changes)
        self.assertEqual([self.cache.get(key) is None for key in (b"a", b"b", b"c")], [1, 0, 0])
        self.clock.advance(5)
        self.assertEqual([self.cache.get(key) is None for key in (b"b", b"c")], [0, 1])
        self.clock.advance(KEPT_SECONDS)
        self.assertIsNone(self.cache.get(b"b"))
