"""A real service that is asked five times what it can serve."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from bench.client import Connection, request_bytes
from synnefo_tx.cli.context import opened
from tests.support.http import request
from tests.support.identity import make_user
from tests.support.processes import CloudProcess, until

PATH = "/compute/v2.0/servers/detail"
REQUESTS_MAX = 16
CALLERS = 5 * REQUESTS_MAX
LOAD_SECONDS = 4.0
CHEAP_SECONDS = 10.0
RECOVERY_SECONDS = 5.0
GROWTH_MAX_KIB = 24 * 1024


class Caller(threading.Thread):
    """Asks without a pause until it is told to stop; counts the answers by status."""

    def __init__(self, url: str, wanted: bytes, stop: threading.Event) -> None:
        super().__init__()
        self.answers: dict[int, int] = {}
        self.error: Exception | None = None
        self._url, self._wanted, self._stop_asking = url, wanted, stop

    def run(self) -> None:
        try:
            connection = Connection(self._url)
            while not self._stop_asking.is_set():
                status, _ = connection.ask(self._wanted)
                self.answers[status] = self.answers.get(status, 0) + 1
            connection.close()
        except Exception as error:
            self.error = error


class OverloadTests(TestCase):
    timeout = 120

    async def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="syn-load-")
        self.addCleanup(self.folder.cleanup)
        self.cloud = CloudProcess(Path(self.folder.name), {"HTTP__REQUESTS_MAX": str(REQUESTS_MAX)})
        self.addCleanup(lambda: Deferred.fromCoroutine(self.cloud.end()))
        await self.cloud.start_ready()
        async with opened(self.cloud.settings, reactor, needs_schema=True) as app:
            user = await make_user(app.database, "load@example.org")
            async with app.database.transaction("token") as tx:
                self.token = (await app.identity.tokens.issue(tx, user, "load")).secret

    def resident_kib(self) -> int:
        """Memory of the service's process."""
        status = Path(f"/proc/{self.cloud.child.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    async def ask(self, method: str, path: str, body: Any = None) -> float:
        """Seconds until a request is answered with 200."""
        begun = time.monotonic()
        answer = await request(self.cloud.url, method, path, body, token=self.token)
        self.assertEqual(answer.status, 200, answer.body)
        return time.monotonic() - begun

    async def ask_cheap(self) -> list[float]:
        """Seconds that each of the cheap endpoints takes."""
        check = {"auth": {"token": {"id": self.token}}}
        return [
            await self.ask("GET", "/health"),
            await self.ask("GET", "/metrics"),
            await self.ask("POST", "/identity/v2.0/tokens", check),
        ]

    async def load(self, seconds: float) -> tuple[dict[int, int], list[float]]:
        """Answers by status under load, and what the cheap endpoints took meanwhile."""
        stop = threading.Event()
        wanted = request_bytes("GET", PATH, self.token)
        callers = [Caller(self.cloud.url, wanted, stop) for _ in range(CALLERS)]
        for caller in callers:
            caller.start()
        try:
            await deferLater(reactor, seconds / 2)
            cheap = await self.ask_cheap()
            await deferLater(reactor, seconds / 2)
        finally:
            stop.set()
            for caller in callers:
                await deferToThread(caller.join)
        self.assertEqual([each.error for each in callers if each.error], [])
        total: dict[int, int] = {}
        for caller in callers:
            for status, count in caller.answers.items():
                total[status] = total.get(status, 0) + count
        return total, cheap

    async def test_overload(self) -> None:
        """What cannot be served is refused with 503 at once, health and token checks go on,
        memory stays flat, and afterwards all is as before."""
        await self.load(LOAD_SECONDS / 2)
        before = self.resident_kib()
        answers, cheap = await self.load(LOAD_SECONDS)
        self.assertEqual(set(answers), {200, 503})
        self.assertGreater(answers[200], 100)
        self.assertLess(max(cheap), CHEAP_SECONDS)
        self.assertLess(self.resident_kib() - before, GROWTH_MAX_KIB)

        async def served() -> bool:
            return await self.ask("GET", PATH) < 0.5

        await until(served, RECOVERY_SECONDS, "a request is served quickly again")
