"""A real process, killed at random moments while jobs change."""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.ganeti.eventd.samples import job
from tests.ganeti.eventd.support import NodeFolder
from tests.support.processes import Child, until

ROOT = Path(__file__).parents[3]
STEPS = ("queued", "waiting", "running", "success")
KILLS = 6
JOBS = 60
LIMIT_SECONDS = 60.0
SAVE_SECONDS = 0.2
STEP_SECONDS = 0.03
# What is told between two writings of the state, and while one is under way.
REPEATED_MAX = round(4 * SAVE_SECONDS / STEP_SECONDS)


class KillTests(TestCase):
    timeout = 240

    def setUp(self):
        self.node = NodeFolder(Path(self.mktemp()))
        self.state_file = self.node.path / "eventd.json"
        self.broker_file = self.node.path / "broker"
        self.broker_file.touch()
        self.now = int(reactor.seconds())
        self.chance = random.Random(self.now)
        self.addCleanup(self.end, "KILL")
        self.child = None

    def start(self):
        """Start the process."""
        settings = attrs.asdict(self.node.settings(save_seconds=SAVE_SECONDS))
        command = [
            sys.executable, "-m", "tests.ganeti.eventd.child", json.dumps(settings),
            str(self.state_file), str(self.broker_file),
        ]  # fmt: skip
        self.child = Child()
        self.child.process = reactor.spawnProcess(
            self.child, command[0], command, env=os.environ, path=str(ROOT)
        )

    async def end(self, signal):
        """Send a signal and wait for the end; the exit code."""
        child, self.child = self.child, None
        if child is None:
            return None
        child.process.signalProcess(signal)
        killing = reactor.callLater(LIMIT_SECONDS, child.process.signalProcess, "KILL")
        code = await child.ended
        if killing.active():
            killing.cancel()
        return code

    def told(self):
        """What the broker has: how often each status of each job."""
        lines = self.broker_file.read_text().splitlines()
        return Counter((body["jobId"], body["status"]) for _, body in map(json.loads, lines))

    async def until_told(self, *wanted):
        """Wait until the broker has all of these."""

        async def there():
            return set(wanted) <= set(self.told())

        await until(there, LIMIT_SECONDS, f"{wanted}")

    async def change(self):
        """Jobs one after the other become all they can become, while others go on."""
        position = dict.fromkeys(range(1000, 1000 + JOBS), 0)
        while position:
            number = self.chance.choice(list(position)[:5])
            self.node.write(number, job(number, STEPS[position[number]], at=self.now))
            position[number] += 1
            if position[number] == len(STEPS):
                del position[number]
            await deferLater(reactor, STEP_SECONDS)

    async def test_kills(self):
        """Each final status is told at least once, old jobs never, and little twice."""
        for number in range(1, 200):
            self.node.write(number, job(number, at=self.now - 7200))
        self.start()
        self.node.write(500, job(500, at=self.now))
        await self.until_told((500, "success"))
        changing = Deferred.fromCoroutine(self.change())
        for _ in range(KILLS):
            await deferLater(reactor, self.chance.uniform(0.1, 2.0))
            await self.end("KILL")
            self.start()
        await changing
        await self.until_told(*((1000 + each, "success") for each in range(JOBS)))
        # A process that has only just begun does not yet handle the signal.
        self.node.write(550, job(550, at=self.now))
        await self.until_told((550, "success"))
        self.assertEqual(await self.end("TERM"), 0)
        told = self.told()
        self.assertEqual([number for number, _ in told if number < 500], [])
        repeated = sum(told.values()) - len(told)
        self.assertLessEqual(repeated, KILLS * REPEATED_MAX)
        self.start()
        self.node.write(600, job(600, at=self.now))
        await self.until_told((600, "success"))
        del (after := self.told())[600, "success"]
        self.assertEqual(after, told)
