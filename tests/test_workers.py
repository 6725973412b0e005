"""``twistd synnefo --workers N`` as real processes."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import ResponseNeverReceived

from synnefo_tx.cli.context import opened
from synnefo_tx.identity.projects.store import ProjectStore
from synnefo_tx.tap import Options
from tests.support.database import TestServer
from tests.support.event_client import Events, follow
from tests.support.http import request
from tests.support.identity import make_project, make_user
from tests.support.keptalive import KeptConnection
from tests.support.processes import (
    BIN,
    CloudProcess,
    numbered_processes_of,
    processes_of,
    until,
)

reactor: Any = _reactor
END_LIMIT_SECONDS = 30.0
PASSWORD = "correct horse"
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
        self.assertIn("http.workers", lines[0])
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
        await self.sessions_end()

    async def sessions_end(self) -> None:
        """A session that one worker began is known to all when that one is killed, and one that is
        ended at another, or with its user, is refused by all that live."""
        async with opened(self.cloud.settings, reactor, needs_schema=True) as app:
            user = await app.identity.users.add(
                "in@example.org", "I", "N", password=PASSWORD, accepted=True
            )
        first, other = await self.signed_in(0), await self.signed_in(1)
        os.kill(self.numbers("--name api-")[0], signal.SIGKILL)
        self.connections.pop(0).close()
        self.assertEqual(self.by_cookie(first), [200] * 3)
        status, _, _ = self.connections[0].send(
            "DELETE", "/ui/session", {"Cookie": first, "X-Synnefo-UI": "1"}
        )
        self.assertEqual(status, 204)
        await self.cookie_refused_soon(first)
        self.assertEqual(self.by_cookie(other), [200] * 3)
        await self.cloud.manage("user-modify", user.uuid, "--set-inactive")
        await self.cookie_refused_soon(other)

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
