"""The cluster in memory as a service of its own: TLS, screens, and SIGKILL."""

import json
import os
import socket
import stat
import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase, TestCase

from synnefo_tx.ganeti import requests
from synnefo_tx.ganeti.memory.tap import Options
from synnefo_tx.ganeti.rapi import ClusterEndpoint, RapiFailure, TreqRapi
from synnefo_tx.ganeti.requests import DiskSpec, InstanceSpec
from synnefo_tx.ganeti.tls import tls_agent
from tests.ganeti.rfb_client import RfbClient

reactor: Any = _reactor


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Child(ProcessProtocol):
    """A twistd process; ``ended`` fires when it is gone."""

    process: Any

    def __init__(self):
        self.output = b""
        self.ended: Deferred[int | None] = Deferred()

    def outReceived(self, data):
        self.output += data

    errReceived = outReceived

    def processEnded(self, reason):
        self.ended.callback(reason.value.exitCode)


class ServiceTests(TestCase):
    """twistd synnefo-memory-ganeti."""

    timeout = 60

    def setUp(self):
        self.folder, self.port = Path(self.mktemp()), free_port()

    def start(self, *options):
        child = Child()
        command = [sys.executable, "-m", "twisted", "synnefo-memory-ganeti"]
        command += ["--port", str(self.port), "--state", str(self.folder), *options]
        process = reactor.spawnProcess(child, sys.executable, command, env=dict(os.environ))
        child.process = process

        def end():
            if not child.ended.called:
                process.signalProcess("TERM")
            return child.ended

        self.addCleanup(end)
        return child

    async def connect(self, child):
        """The client, when the service answers."""
        for _ in range(300):
            if child.ended.called:
                self.fail(child.output.decode())
            try:
                access = json.loads((self.folder / "rapi.json").read_text())
                endpoint = ClusterEndpoint(
                    "m",
                    access["host"],
                    access["port"],
                    access["username"],
                    access["password"],
                    fingerprint_sha256=access["fingerprint"],
                )
                rapi = TreqRapi(tls_agent(reactor, endpoint), endpoint, reactor)
                await rapi.version()
                return rapi
            except (OSError, RapiFailure):
                await deferLater(reactor, 0.1)
        self.fail("the service does not answer")

    async def kill(self, child):
        child.process.signalProcess("KILL")
        await child.ended

    async def status(self, rapi, job_id):
        for _ in range(300):
            job = await rapi.job(job_id)
            if job.final:
                return job.status, job.opresult[0]
            await deferLater(reactor, 0.05)
        self.fail(f"job {job_id} does not end")

    async def test_survives_sigkill(self):
        """After SIGKILL instances, screens and jobs are as after a cluster's power cut."""
        child = self.start("--job-seconds", "0.2", "--screen-port", "12100")
        rapi = await self.connect(child)
        spec = InstanceSpec(
            "snf-1", "snf-image+default", "file", "kvm", [DiskSpec("d", 64)], [], 1, 128
        )
        first = await rapi.create_instance(requests.create_body(spec), "r")
        self.assertEqual((await self.status(rapi, first))[0], "success")
        before = await rapi.instance("snf-1")
        await self.look(before)
        slow = requests.create_body(spec) | {"name": "snf-2", "osparams": {"os_sleep": "60"}}
        second = await rapi.create_instance(slow, "r")
        while "running the instance" not in str((await rapi.job(second)).oplog):
            await deferLater(reactor, 0.05)
        await self.kill(child)
        rapi = await self.connect(self.start("--job-seconds", "0.2", "--screen-port", "12100"))
        text = f"detected death of job {second}"
        self.assertEqual(await self.status(rapi, second), ("error", text))
        self.assertEqual(await rapi.instance("snf-1"), before)
        self.assertEqual((await rapi.instance("snf-2"))["status"], "ADMIN_down")
        await self.look(before)
        stop = await rapi.shutdown("snf-1", "r")
        self.assertEqual((await self.status(rapi, stop))[0], "success")
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", before["network_port"])).close()

    async def look(self, instance):
        """The instance's screen is at its network port, and bears its name."""
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", instance["network_port"])
        viewer = await connectProtocol(endpoint, RfbClient())
        size, name = await viewer.handshake()
        viewer.request(*size)
        update = await viewer.update()
        self.assertEqual((name, update[0][2:4]), (instance["name"], size))
        viewer.transport.loseConnection()
        await viewer.lost

    async def test_one_service_per_folder(self):
        """A second service on the same folder does not start, and says why."""
        child = self.start()
        await self.connect(child)
        for name in ("rapi.json", "users", "server.pem", "journal"):
            self.assertEqual(stat.S_IMODE((self.folder / name).stat().st_mode), 0o600)
        second = self.start("--port", str(free_port()))
        self.assertNotEqual(await second.ended, 0)
        self.assertIn(b"is in use by another cluster", second.output)


class OptionTests(SynchronousTestCase):
    """The command line."""

    def test_what_cannot_work(self):
        """A folder is needed; nodes and times are positive."""
        for arguments in ([], ["--state", "x", "--nodes", "0"], ["--state", "x", "--port", "y"]):
            self.assertRaises(UsageError, Options().parseOptions, arguments)
