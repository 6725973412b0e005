"""The cluster in memory passes the suite that real clusters pass."""

import json
import random
from base64 import b64encode

from treq.client import HTTPClient
from twisted.internet.task import Clock

from synnefo_tx.ganeti.memory import MemoryGaneti
from synnefo_tx.ganeti.rapi import ClusterEndpoint, TreqRapi
from synnefo_tx.ganeti.transport import WholeBody
from tests.ganeti import cluster_cases
from tests.ganeti.cluster_support import ClusterSupport

START_SECONDS = 1_800_000_000.0


class MemoryCluster(ClusterSupport):
    """A fresh cluster in memory per case; its time passes when a case sleeps."""

    def setUp(self):
        self.clock = Clock()
        self.clock.advance(START_SECONDS)
        self.ganeti = MemoryGaneti(self.clock, random.Random(7), fetch=self.fetch)
        self.pages = {}
        endpoint = ClusterEndpoint("memory", "memory.example", 5080, "synnefo", "synnefo")
        self.begin(TreqRapi(self.ganeti.agent(), endpoint, self.clock), "snf-")

    async def fetch(self, url):
        return self.pages.pop(url)

    async def sleep(self, seconds):
        self.clock.advance(seconds)

    async def archive(self, job_id):
        self.ganeti.jobs.archive([job_id])

    async def kill_job(self, job_id):
        self.ganeti.jobs.kill(job_id)

    async def serve(self, parameters):
        url = f"http://vmapi.example/{len(self.pages)}"
        self.pages[url] = json.dumps(parameters).encode()
        return url

    async def disk_text(self, name):
        return self.ganeti.disk_text(name)

    async def raw(self, method, path, content=b"", media="application/json", password=None):
        headers = {
            "Authorization": "Basic "
            + b64encode(f"synnefo:{password or 'synnefo'}".encode()).decode(),
            "Content-Type": media,
        }
        http = HTTPClient(self.ganeti.agent(), data_to_body_producer=WholeBody)
        url = f"https://memory.example:5080{path}"
        if password == "":
            del headers["Authorization"]
        response = await http.request(
            method, url, headers=headers, data=content or None, reactor=self.clock
        )
        return response.code, json.loads(await response.content())


class MemoryFakeTests(MemoryCluster, cluster_cases.FakeClusterCases):
    """The cluster in memory, hypervisor "fake"."""


class MemoryKvmTests(MemoryCluster, cluster_cases.KvmClusterCases):
    """The cluster in memory, hypervisor "kvm"."""
