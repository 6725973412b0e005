"""A service of several processes."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.trial.unittest import TestCase

from tests.support.http import request
from tests.support.keptalive import KeptConnection
from tests.support.processes import (
    CloudProcess,
    numbered_processes_of,
    processes_of,
    until,
)

reactor: Any = _reactor
END_LIMIT_SECONDS = 30.0


class WorkersTestCase(TestCase):
    """A service of several processes on a home of its own."""

    timeout = 240
    workers = 2
    changes: dict[str, str] = {}

    async def setUp(self) -> None:
        # PostgreSQL's socket needs a short path.
        self.folder = Path(tempfile.mkdtemp(prefix="synnefo-workers-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.cloud = CloudProcess(
            self.folder / "home", self.changes, "--workers", str(self.workers)
        )
        self.addCleanup(self.cloud.end)

    def numbers(self, text: str) -> list[int]:
        """The numbers of this test's processes whose command line has ``text``."""
        found = numbered_processes_of(self.folder)
        return sorted(pid for pid, command in found.items() if text in command)

    async def gone(self, seconds: float = END_LIMIT_SECONDS) -> None:
        """Wait until no process of this test is left."""

        async def none_left() -> bool:
            return not processes_of(self.folder)

        await until(none_left, seconds, f"all end, but {processes_of(self.folder)}")

    async def get(self, path: str, token: str | None = None):
        return await request(self.cloud.url, "GET", path, token=token)

    async def healthy(self) -> bool:
        return (await self.get("/health")).status == 200

    async def readings(self, name: str) -> dict[str, float]:
        """Samples of a metric by their labels."""
        text = (await self.get("/metrics")).body.decode()
        samples = [line.rsplit(" ", 1) for line in text.splitlines() if line.startswith(name)]
        return {key.removeprefix(name): float(value) for key, value in samples}

    def accepted_by_each(self, workers: list[int]) -> list[KeptConnection]:
        """One connection to each worker: who has one already is stopped while others accept."""
        port = self.cloud.settings.http.port
        found: dict[int, KeptConnection] = {}
        try:
            while len(found) < len(workers):
                connection = KeptConnection(port)
                connection.ask("/health")
                pid = connection.pid_among(workers)
                assert pid is not None and pid not in found
                found[pid] = connection
                self.addCleanup(connection.close)
                os.kill(pid, signal.SIGSTOP)
        finally:
            for pid in found:
                os.kill(pid, signal.SIGCONT)
        return [found[pid] for pid in workers]
