"""A real service under garbage; how long is up to who runs it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from synnefo_tx.cli.context import opened
from tests.support.garbage import bombard, resident_kib
from tests.support.http import request
from tests.support.identity import make_user
from tests.support.processes import CloudProcess

THREADS = 6
ANSWER_LIMIT_SECONDS = 5.0
GROWTH_MAX = 0.05


class GarbageCases:
    """Mixed into a TestCase that sets ``seconds`` and ``warm_up_seconds``."""

    seconds: float
    warm_up_seconds: float

    async def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="syn-garbage-")
        self.addCleanup(self.folder.cleanup)
        self.cloud = CloudProcess(Path(self.folder.name), {})
        self.addCleanup(lambda: Deferred.fromCoroutine(self.cloud.end()))
        await self.cloud.start_ready()
        async with opened(self.cloud.settings, reactor, needs_schema=True) as app:
            user = await make_user(app.database, "garbage@example.org")
            async with app.database.transaction("token") as tx:
                self.token = (await app.identity.tokens.issue(tx, user, "x")).secret

    async def bombard(self, first_seed: int, seconds: float):
        port = urlsplit(self.cloud.url).port
        return await deferToThread(bombard, port, [self.token], first_seed, seconds, THREADS)

    async def test_garbage(self) -> None:
        """Whatever is sent, the service blames the sender, stays quick and keeps its size."""
        assert self.cloud.child is not None
        await self.bombard(1, self.warm_up_seconds)
        before = resident_kib(self.cloud.child.process.pid)
        outcome = await self.bombard(1_000_000, self.seconds)
        after = resident_kib(self.cloud.child.process.pid)
        self.assertEqual(outcome.faults, [])
        self.assertGreater(outcome.answers[400], 20, outcome.answers)
        self.assertLess(outcome.slowest_seconds, ANSWER_LIMIT_SECONDS)
        self.assertLess(after, before * (1 + GROWTH_MAX), f"{before} KiB became {after} KiB")
        answer = await request(
            self.cloud.url, "GET", "/compute/v2.0/servers/detail", token=self.token
        )
        self.assertEqual((answer.status, answer.json), (200, {"servers": []}))
