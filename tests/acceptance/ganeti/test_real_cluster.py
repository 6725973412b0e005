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
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from synnefo_tx.ganeti.rapi import TreqRapi
from synnefo_tx.ganeti.tls import tls_agent
from tests.acceptance.clusters import clusters
from tests.ganeti.cluster_cases import ClusterCases, FakeHypervisorCases, KvmCases

reactor: Any = _reactor


class OnRealCluster:
    """The first cluster that the runner started; each case cleans up behind itself."""

    timeout = 300

    def setUp(self):
        if not clusters():
            raise SkipTest("no cluster: run it by python -m tests.acceptance.run ganeti")
        self.cluster = clusters()[0]
        self.link = self.cluster.bridge
        self.agent = tls_agent(reactor, self.cluster.endpoint)
        rapi = TreqRapi(self.agent, self.cluster.endpoint, reactor)
        self.begin(rapi, f"t{secrets.token_hex(3)}-")

    async def tearDown(self):
        await self.clean()

    async def sleep(self, seconds):
        await deferLater(reactor, seconds)

    async def archive(self, job_id):
        await self.cluster.run(reactor, "gnt-job", "archive", str(job_id))

    async def kill_job(self, job_id):
        queue = Path(self.cluster.state) / "lib" / "queue" / f"job-{job_id}"
        os.kill(json.loads(queue.read_text())["process_id"], signal.SIGKILL)

    async def raw(self, method, path, content=b"", media="application/json", password=None):
        cluster = self.cluster
        secret = f"{cluster.username}:{password or cluster.password}".encode()
        headers = {
            "Authorization": "Basic " + b64encode(secret).decode(),
            "Content-Type": media,
        }
        url = f"https://{cluster.host}:{cluster.port}{path}"
        http = HTTPClient(self.agent)
        response = await http.request(
            method, url, headers=headers, data=content or None, reactor=reactor
        )
        return response.code, json.loads(await response.content())


class RealFakeTests(OnRealCluster, FakeHypervisorCases, ClusterCases, TestCase):
    """Real Ganeti, hypervisor "fake"."""


class RealKvmTests(OnRealCluster, KvmCases, ClusterCases, TestCase):
    """Real Ganeti, real guests."""
