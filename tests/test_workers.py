"""``twistd synnefo --workers N`` as real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseNeverReceived

from synnefo_tx.cli.context import opened
from synnefo_tx.tap import Options
from tests.support.event_client import Events, follow
from tests.support.http import request
from tests.support.identity import make_user
from tests.support.processes import (
    BIN,
    processes_of,
    until,
)
from tests.support.workers import WorkersTestCase

reactor: Any = _reactor
SEQUENCER = """
SELECT split_part(holder, ':', 2)::int FROM elections WHERE name = 'sequencer'
"""


class OptionTests(SynchronousTestCase):
    def test_workers(self) -> None:
        """--workers takes a whole number of at least 1, and is for the role api."""
        for wrong in ("0", "-1", "x", "1.5", "", "65"):
            self.assertRaises(UsageError, Options().parseOptions, ["--workers", wrong])
        without_api = ["--workers", "2", "--role", "timers"]
        self.assertRaises(UsageError, Options().parseOptions, without_api)
        options = Options()
        options.parseOptions(["--workers", "4"])
        self.assertEqual(options["workers"], 4)

    def test_by_hand(self) -> None:
        """A worker is started by its supervisor and by nobody else."""
        done = subprocess.run(
            [sys.executable, str(BIN / "twistd"), "-n", "--pidfile=", "synnefo-worker"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--workers", done.stdout + done.stderr)


class LifeTests(WorkersTestCase):
    async def test_killed_worker(self) -> None:
        """When one worker is killed the other serves on, nobody is refused, and it comes back."""
        await self.cloud.start_ready()
        workers = self.numbers("--name api-")
        self.assertEqual(len(workers), 2)
        outcomes: list[str] = []
        asking = Deferred.fromCoroutine(self.ask_for(8, outcomes))
        await deferLater(reactor, 1)
        os.kill(workers[0], signal.SIGKILL)
        await asking
        self.assertNotIn("refused", outcomes)
        cut = [each for each in outcomes if each not in ("200", "503")]
        self.assertLessEqual(len(cut), 1, outcomes)
        await until(self.healthy, 20, "it is healthy again")
        again = self.numbers("--name api-")
        self.assertEqual(len(again), 2)
        self.assertNotIn(workers[0], again)
        self.assertIn(workers[1], again)
        restarts = await self.readings("synnefo_process_restarts")
        self.assertEqual(restarts['{process="api-1"}'], 1.0)
        self.assertEqual(restarts['{process="api-2"}'], 0.0)

    async def ask_for(self, seconds: float, outcomes: list[str]) -> None:
        """Ask on a new connection each time, and note what came of it."""
        end = reactor.seconds() + seconds
        while reactor.seconds() < end:
            try:
                outcomes.append(str((await self.get("/health")).status))
            except ConnectionRefusedError:
                outcomes.append("refused")
            except Exception as error:
                outcomes.append(type(error).__name__)

    async def test_followed(self) -> None:
        """Who follows the stream misses nothing while the process that numbers changes is killed,
        and then all that tell them: others go on where they were."""
        await self.cloud.start_ready()
        async with opened(self.cloud.settings, reactor, needs_schema=True) as app:
            user = await make_user(app.database, "follower@example.org")
            async with app.database.transaction("token") as tx:
                token = (await app.identity.tokens.issue(tx, user, "test")).secret
            sequencer = (await app.database.read(SEQUENCER))[0][0]
        stream = await self.resumed(token, None)
        for victims in ([sequencer], self.numbers("--name api-")):
            for victim in set(victims) & set(self.numbers("--name ")):
                os.kill(victim, signal.SIGKILL)
            wanted = {"network": {"type": "MAC_FILTERED", "name": "told"}}
            made = await request(
                self.cloud.url, "POST", "/network/v2.0/networks", wanted, token=token
            )
            self.assertEqual(made.status, 201)
            id = made.json["network"]["id"]
            await stream.until(lambda s, id=id: s.ended is not None or s.has("network", id), 30)
            if stream.ended is not None:
                stream = await self.resumed(token, stream)
            await stream.event("network", op="put", id=id)
        self.assertNotIn("reset", [each.name for each in stream.events])
        stream.close()

    async def resumed(self, token: str, last: Events | None) -> Events:
        """A stream that goes on where another was cut, as soon as one can be had."""

        async def connected() -> Events | None:
            try:
                response, stream = await follow(self.cloud.url, token, last.last_id if last else "")
            except (ConnectionRefusedError, ResponseNeverReceived):
                return None
            return stream if response.code == 200 else None

        return await until(connected, 30, "a stream is begun")

    async def test_health_tells(self) -> None:
        """Health names a worker that is stopped, and is well again when it goes on."""
        await self.cloud.start_ready()
        workers = self.numbers("--name api-")
        first, second = self.accepted_by_each(workers)
        os.kill(workers[0], signal.SIGSTOP)
        self.addCleanup(self.go_on, workers[0])

        async def told() -> bool:
            status, document = second.ask("/health")
            text = document["parts"]["processes"]["text"]
            return status == 503 and "api-1 is silent" in text

        await until(told, 20, "health tells of it")
        os.kill(workers[0], signal.SIGCONT)

        async def well() -> bool:
            return first.ask("/health")[0] == 200

        await until(well, 20, "it is well again")

    def go_on(self, pid: int) -> None:
        """Wake a process that may be gone."""
        if Path(f"/proc/{pid}").exists():
            os.kill(pid, signal.SIGCONT)

    async def test_rolled(self) -> None:
        """SIGHUP starts all processes anew one by one; no request is refused, cut or failed."""
        await self.cloud.start_ready()
        before = self.numbers(" synnefo-worker --name")
        outcomes: list[str] = []
        child = self.cloud.child
        assert child is not None
        os.kill(child.process.pid, signal.SIGHUP)
        asking = Deferred.fromCoroutine(self.ask_for(12, outcomes))

        async def all_new() -> bool:
            now = self.numbers(" synnefo-worker --name")
            return len(now) == 3 and not set(now) & set(before)

        await until(all_new, 60, "all processes are new")
        await asking
        self.assertEqual(set(outcomes), {"200"})
        self.assertGreater(len(outcomes), 20)
        self.assertEqual(set((await self.readings("synnefo_process_restarts")).values()), {0.0})

    async def test_ended(self) -> None:
        """SIGTERM ends everything that was started, in order: nobody has to be killed."""
        await self.cloud.start_ready()
        self.assertGreaterEqual(len(processes_of(self.folder)), 5)
        await self.cloud.end()
        self.assertEqual(processes_of(self.folder), [])
        log = (self.folder / "home" / "log" / "synnefo.log").read_text()
        self.assertNotIn('"level": "error"', log)
        self.assertNotIn('"level": "critical"', log)

    async def test_supervisor_killed(self) -> None:
        """When the supervisor is killed, its children end, and PostgreSQL with them."""
        await self.cloud.start_ready()
        await self.cloud.end("KILL")
        await self.gone()

    async def test_supervisor_replaced(self) -> None:
        """After a supervisor that was killed another starts at once, on the same ports."""
        await self.cloud.start_ready()
        before = self.numbers(" synnefo-worker --name")
        await self.cloud.end("KILL")
        await self.cloud.start_ready()
        self.assertTrue(await self.healthy())
        self.assertEqual(set(before) & set(self.numbers(" synnefo-worker --name")), set())

    async def test_counts_add_up(self) -> None:
        """Whichever worker is asked for metrics, it shows the sum of all workers' counts."""
        await self.cloud.start_ready()
        connections = self.accepted_by_each(self.numbers("--name api-"))
        for connection, count in zip(connections, (3, 5), strict=True):
            for _ in range(count):
                self.assertEqual(connection.ask("/account/v1.0/quotas")[0], 401)
        sample = '{endpoint="GET /account/v1.0/quotas",status="401"}'
        for _ in range(4):
            requests = await self.readings("synnefo_requests_total")
            self.assertEqual(requests[sample], 8.0)
        os.kill(self.numbers("--name api-1")[0], signal.SIGKILL)
        await deferLater(reactor, 1)
        await until(self.healthy, 20, "it is healthy again")
        self.assertEqual((await self.readings("synnefo_requests_total"))[sample], 8.0)

    async def test_refused_starts(self) -> None:
        """A taken port, and a number of workers that is none, are told in one line."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", self.cloud.settings.http.port))
            taken.listen()
            lines = await self.refusal("--workers", "2")
        self.assertEqual(len(lines), 1, lines)
        self.assertIn("SYNNEFO_HTTP__PORT", lines[0])
        await self.gone()
        lines = await self.refusal(SYNNEFO_HTTP__WORKERS="0")
        self.assertIn("SYNNEFO_HTTP__WORKERS", lines[0])
        lines = await self.refusal("--workers", "12")
        self.assertIn("connections", lines[0])

    async def refusal(self, *arguments: str, **environ: str) -> list[str]:
        """What a start that must fail writes for people."""
        command = [
            str(BIN / "twistd"),
            "-n",
            "--pidfile=",
            "--logger",
            "synnefo_tx.log.synnefo_file",
        ]
        _, err, code = await getProcessOutputAndValue(
            sys.executable,
            [*command, "synnefo", *arguments],
            env={**os.environ, **self.cloud.environ, **environ},
            reactor=reactor,
        )
        self.assertNotEqual(code, 0)
        return [line for line in err.decode().splitlines() if line.startswith("synnefo: ")]
