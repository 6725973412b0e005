"""A real Ganeti cluster passes the suite that the cluster in memory passes."""

import json
import os
import secrets
import signal
from base64 import b64encode
from pathlib import Path
from typing import Any

from treq.client import HTTPClient
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.tcp import Client
from twisted.trial.unittest import SkipTest
from twisted.web.resource import Resource
from twisted.web.server import Site

from synnefo_tx.ganeti.rapi import TreqRapi
from synnefo_tx.ganeti.tls import tls_agent
from tests.acceptance.clusters import clusters
from tests.ganeti import cluster_cases
from tests.ganeti.cluster_support import ClusterSupport

reactor: Any = _reactor


class Parameters(Resource):
    """Gives its content to the first who asks, 404 to the others."""

    isLeaf = True

    def __init__(self, content):
        super().__init__()
        self.content = content

    def render_GET(self, request):
        content, self.content = self.content, None
        if content is None:
            request.setResponseCode(404)
        return content or b""


class OnRealCluster(ClusterSupport):
    """The first cluster that the runner started; each case cleans up behind itself."""

    timeout = 600

    def setUp(self):
        if not clusters():
            raise SkipTest("no cluster: run it by python -m tests.acceptance.run ganeti")
        self.cluster = clusters()[0]
        self.link = self.cluster.bridge
        self.agent = tls_agent(reactor, self.cluster.endpoint)
        rapi = TreqRapi(self.agent, self.cluster.endpoint, reactor)
        self.begin(rapi, f"t{secrets.token_hex(3)}-")

    def tearDown(self):
        return Deferred.fromCoroutine(self.leave())

    async def leave(self):
        """Clean up, and wait until RAPI has closed its connections."""
        await self.clean()
        for _ in range(500):
            if not any(isinstance(reader, Client) for reader in reactor.getReaders()):
                return
            await deferLater(reactor, 0.01)
        self.fail("a connection is still open")

    async def sleep(self, seconds):
        await deferLater(reactor, seconds)

    async def archive(self, job_id):
        await self.cluster.run(reactor, "gnt-job", "archive", str(job_id))

    async def kill_job(self, job_id):
        queue = Path(self.cluster.state) / "lib" / "queue" / f"job-{job_id}"
        os.kill(json.loads(queue.read_text())["process_id"], signal.SIGKILL)

    async def serve(self, parameters):
        page = Parameters(json.dumps(parameters).encode())
        port = reactor.listenTCP(0, Site(page), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"http://127.0.0.1:{port.getHost().port}/{secrets.token_hex(8)}"

    async def disk_text(self, name):
        storage = Path(self.cluster.state) / "srv" / "file-storage" / name
        (disk,) = storage.iterdir()
        with disk.open("rb") as file:
            return file.read(65536).split(b"\0", 1)[0].decode()

    async def raw(self, method, path, content=b"", media="application/json", password=None):
        cluster = self.cluster
        secret = f"{cluster.username}:{password or cluster.password}".encode()
        headers = {
            "Authorization": "Basic " + b64encode(secret).decode(),
            "Content-Type": media,
        }
        url = f"https://{cluster.host}:{cluster.port}{path}"
        http = HTTPClient(self.agent)
        if password == "":
            del headers["Authorization"]
        response = await http.request(
            method, url, headers=headers, data=content or None, reactor=reactor
        )
        return response.code, json.loads(await response.content())


class RealFakeTests(OnRealCluster, cluster_cases.FakeClusterCases):
    """Real Ganeti, hypervisor "fake"."""


class RealKvmTests(OnRealCluster, cluster_cases.KvmClusterCases):
    """Real Ganeti, real guests."""
