"""Roles as processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from synnefo_tx.cli.context import opened
from tests.support.database import TestServer
from tests.support.http import request
from tests.support.processes import (
    CloudProcess,
    until,
)

reactor: Any = _reactor


class RoleTests(TestCase):
    """Roles as processes of their own, on one database that is not theirs."""

    timeout = 240

    async def setUp(self) -> None:
        server = TestServer.get()
        await server.template()
        self.url = server.clone()
        self.addCleanup(server.drop, self.url)
        self.folder = Path(tempfile.mkdtemp(prefix="synnefo-roles-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    async def start(self, name: str, *roles: str) -> CloudProcess:
        changes = {"DATABASE__URL": self.url, "DATABASE__LEADER_SILENCE_SECONDS": "2"}
        options = [word for role in roles for word in ("--role", role)]
        cloud = CloudProcess(self.folder / name, changes, *options)
        self.addCleanup(cloud.end)
        await cloud.start_ready()
        return cloud

    async def holder(self, cloud: CloudProcess) -> tuple[str, int]:
        """Who leads the timers, and the epoch."""
        async with opened(cloud.settings, reactor, needs_schema=True) as app:
            rows = await app.database.read(
                "SELECT holder, epoch FROM elections WHERE name = 'timers'"
            )
        return rows[0] if rows else ("", 0)

    def pid_of(self, cloud: CloudProcess) -> int:
        assert cloud.child is not None
        return int(cloud.child.process.pid)

    async def led_by(self, cloud: CloudProcess) -> int:
        """Wait until this process leads the timers; the epoch."""

        async def led() -> int:
            holder, epoch = await self.holder(cloud)
            return epoch if holder.endswith(f":{self.pid_of(cloud)}") else 0

        return await until(led, 30, "it leads")

    async def test_split(self) -> None:
        """API and timers run apart; a second process for timers leads when the first is paused,
        and the first does not when it wakes."""
        api = await self.start("api", "api")
        first = await self.start("first", "timers")
        epoch = await self.led_by(first)
        second = await self.start("second", "timers")
        answer = await request(api.url, "GET", "/health")
        self.assertEqual(answer.status, 200)
        os.kill(self.pid_of(first), signal.SIGSTOP)
        try:
            self.assertEqual(await self.led_by(second), epoch + 1)
        finally:
            os.kill(self.pid_of(first), signal.SIGCONT)
        log = first.home / "log" / "synnefo.log"

        async def stepped_down() -> bool:
            return "leads timers no more" in log.read_text()

        await until(stepped_down, 20, "the first knows")
        await deferLater(reactor, 3)
        self.assertEqual((await self.holder(second))[1], epoch + 1)
        await second.end()
        self.assertEqual(await self.led_by(first), epoch + 2)
        text = (await request(api.url, "GET", "/metrics")).body.decode()
        self.assertIn(f'synnefo_leader_epoch{{election="timers"}} {float(epoch + 2)}', text)
