"""What was taken back by one process is refused by all."""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet import reactor as _reactor

from synnefo_tx.cli.context import opened
from synnefo_tx.identity.projects.store import ProjectStore
from tests.support.identity import make_project, make_user
from tests.support.processes import (
    until,
)
from tests.support.workers import WorkersTestCase

reactor: Any = _reactor
PASSWORD = "correct horse"
FAILURES_MAX = 5


class RevocationTests(WorkersTestCase):
    """Every process refuses within a second what was taken back by another."""

    workers = 4
    LIMIT_SECONDS = 1.0

    async def setUp(self) -> None:
        await super().setUp()
        await self.cloud.start_ready()
        self.connections = self.accepted_by_each(self.numbers("--name api-"))

    async def statuses(self, token: str) -> list[int]:
        return [each.ask("/account/v1.0/quotas", token)[0] for each in self.connections]

    async def refused_soon(self, token: str) -> None:
        """All four refuse, at once or within a second."""
        begun = reactor.seconds()

        async def refused() -> bool:
            return await self.statuses(token) == [401] * 4

        await until(refused, 10, "all refuse")
        self.assertLess(reactor.seconds() - begun, self.LIMIT_SECONDS)

    async def sign_up(self, email: str) -> tuple[str, str]:
        """A user and a token, which all four accept."""
        async with opened(self.cloud.settings, reactor, needs_schema=True) as app:
            user = await make_user(app.database, email)
            async with app.database.transaction("token") as tx:
                token = (await app.identity.tokens.issue(tx, user, "test")).secret
        self.assertEqual(await self.statuses(token), [200] * 4)
        return user, token

    async def test_acts(self) -> None:
        """A disabled user, all tokens ended and one revoked are refused by all four (SEC19), and so
        are ended sessions."""
        user, token = await self.sign_up("disabled@example.org")
        await self.cloud.manage("user-modify", user, "--set-inactive")
        await self.refused_soon(token)
        await self.cloud.manage("user-modify", user, "--set-active")
        user, token = await self.sign_up("renewed@example.org")
        await self.cloud.manage("user-modify", user, "--renew-token")
        await self.refused_soon(token)
        user, token = await self.sign_up("revoked@example.org")
        async with opened(self.cloud.settings, reactor, needs_schema=True) as app:
            id = (await app.identity.tokens.examine(token)).caller.token_id
            async with app.database.transaction("revoke") as tx:
                self.assertTrue(await app.identity.tokens.revoke(tx, user, id))
        await self.refused_soon(token)
        await self.one_is_killed()

    async def one_is_killed(self) -> None:
        """What one worker knew is known to all when that one is killed: sessions, replies to
        requests with a key, failed log-ins. A session that is ended at another worker, or with its
        user, is refused by all that live."""
        async with opened(self.cloud.settings, reactor, needs_schema=True) as app:
            user = await app.identity.users.add(
                "in@example.org", "I", "N", password=PASSWORD, accepted=True
            )
            await app.identity.users.add(
                "locked@example.org", "L", "O", password=PASSWORD, accepted=True
            )
        first, other = await self.signed_in(0), await self.signed_in(1)
        _, token = await self.sign_up("repeats@example.org")
        made = self.make_network(token)
        refused = [self.sign_in("locked@example.org", "wrong") for _ in range(FAILURES_MAX)]
        os.kill(self.numbers("--name api-")[0], signal.SIGKILL)
        self.connections.pop(0).close()
        self.assertEqual(self.by_cookie(first), [200] * 3)
        self.assertEqual(self.make_network(token), made)
        self.assertEqual(refused, [401] * FAILURES_MAX)
        self.assertEqual(self.sign_in("locked@example.org", PASSWORD), 429)
        status, _, _ = self.connections[0].send(
            "DELETE", "/ui/session", {"Cookie": first, "X-Synnefo-UI": "1"}
        )
        self.assertEqual(status, 204)
        await self.cookie_refused_soon(first)
        self.assertEqual(self.by_cookie(other), [200] * 3)
        await self.cloud.manage("user-modify", user.uuid, "--set-inactive")
        await self.cookie_refused_soon(other)

    def make_network(self, token: str) -> dict[str, Any]:
        """The reply of the first worker to a request with a key, always the same one."""
        headers = {"X-Auth-Token": token, "Idempotency-Key": "the network"}
        body = {"network": {"name": "n", "type": "MAC_FILTERED"}}
        status, document, _ = self.connections[0].send(
            "POST", "/network/v2.0/networks", headers, body
        )
        self.assertEqual(status, 201, document)
        return document

    def sign_in(self, email: str, password: str) -> int:
        """The status of a sign-in at the first worker."""
        body = {"email": email, "password": password}
        return self.connections[0].send("POST", "/ui/session", {}, body)[0]

    async def signed_in(self, worker: int) -> str:
        """The cookie of a session that a worker began, which all accept."""
        body = {"email": "in@example.org", "password": PASSWORD}
        status, document, cookie = self.connections[worker].send("POST", "/ui/session", {}, body)
        self.assertEqual((status, cookie is None), (201, False), document)
        assert cookie is not None
        self.assertEqual(self.by_cookie(cookie), [200] * len(self.connections))
        return cookie

    def by_cookie(self, cookie: str) -> list[int]:
        headers = {"Cookie": cookie}
        return [each.send("GET", "/account/v1.0/quotas", headers)[0] for each in self.connections]

    async def cookie_refused_soon(self, cookie: str) -> None:
        """All that live refuse, at once or within a second."""
        begun = reactor.seconds()

        async def refused() -> bool:
            return set(self.by_cookie(cookie)) == {401}

        await until(refused, 10, "all refuse")
        self.assertLess(reactor.seconds() - begun, self.LIMIT_SECONDS)

    async def test_membership(self) -> None:
        """A member who is removed from a project sees it nowhere any more."""
        user, token = await self.sign_up("member@example.org")
        async with opened(self.cloud.settings, reactor, needs_schema=True) as app:
            owner = await make_user(app.database, "owner@example.org")
            limits = {"cyclades.vm": (2, 2)}
            project = await make_project(app.database, owner, [user], limits)
            self.assertEqual(self.seen(project, token), [True] * 4)
            async with app.database.transaction("remove") as tx:
                await ProjectStore(tx).set_member(project, user, "removed")
        begun = reactor.seconds()
        self.assertEqual(self.seen(project, token), [False] * 4)
        self.assertLess(reactor.seconds() - begun, self.LIMIT_SECONDS)

    def seen(self, project: str, token: str) -> list[bool]:
        answers = [each.ask("/account/v1.0/quotas", token)[1] for each in self.connections]
        return [project in answer for answer in answers]
