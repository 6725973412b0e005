"""What the cases for all clusters need of a cluster, and common steps."""

from typing import Any

from twisted.trial.unittest import TestCase

from synnefo_tx.ganeti import requests
from synnefo_tx.ganeti.requests import DiskSpec, InstanceSpec

REASON = "synnefo:conformance"
JOB_LIMIT_SECONDS = 330
"""Ganeti looks for dead jobs every few minutes when nothing else happens to its queue."""

LOOK_EVERY_SECONDS = 0.1


class ClusterSupport(TestCase):
    """What the cases need of a cluster. The first part is each cluster's own business."""

    hypervisor = "fake"
    group = "default"
    link = "br0"

    async def sleep(self, seconds):
        """Let the cluster's time pass."""
        raise AssertionError("a cluster has its time")

    async def archive(self, job_id):
        """Have an ended job archived, as Ganeti's watcher does after some hours."""
        raise AssertionError("a cluster has its archive")

    async def kill_job(self, job_id):
        """Have the process that executes the job killed."""
        raise AssertionError("a cluster has its processes")

    async def serve(self, parameters):
        """An address where the OS script can fetch these one-time parameters, once."""
        raise AssertionError("a cluster can reach a web server")

    async def disk_text(self, name):
        """What the OS script wrote at the beginning of the instance's root disk."""
        raise AssertionError("a cluster has its disks")

    async def raw(self, method, path, content=b"", media="application/json", password=None):
        """Status and decoded body of a request; an empty password means no credentials."""
        raise AssertionError("a cluster has its port")

    def begin(self, rapi, prefix):
        """To be called first: the client, and a prefix for the names this case makes."""
        self.rapi, self.prefix = rapi, prefix
        self.instances, self.networks = [], []

    async def clean(self):
        """Remove what a case left."""
        for name in self.instances:
            await self.settle(await self.rapi.delete_instance(name, REASON))
        for name in self.networks:
            await self.settle(await self.rapi.disconnect_network(name, self.group, REASON))
            await self.settle(await self.rapi.delete_network(name, REASON))

    async def settle(self, job_id):
        """The job when it has ended."""
        return await self.until(job_id, lambda job: job.final)

    async def later(self, answer):
        """What the Deferred gives, letting the cluster's time pass until it does."""
        for _ in range(JOB_LIMIT_SECONDS * 10):
            if answer.called:
                return await answer
            await self.sleep(LOOK_EVERY_SECONDS)
        raise AssertionError("no answer")

    async def until(self, job_id, condition):
        """The job when it fulfils the condition."""
        waited = 0.0
        while waited < JOB_LIMIT_SECONDS:
            job = await self.rapi.job(job_id)
            if condition(job):
                return job
            await self.sleep(LOOK_EVERY_SECONDS)
            waited += LOOK_EVERY_SECONDS
        raise AssertionError(f"job {job_id} is still {job.status}")

    async def succeed(self, submission):
        """The result of the only opcode of the job submitted, which is to succeed."""
        job = await self.settle(await submission)
        self.assertEqual((job.status, job.opresult), ("success", job.opresult))
        return job.opresult[0]

    async def fail_with(self, submission):
        """Kind and code (or None) of the failure of the job submitted, which is to fail."""
        job = await self.settle(await submission)
        self.assertEqual((job.status, list(job.opstatus)), ("error", ["error"]))
        kind, (text, *code) = job.opresult[0]
        self.assertIsInstance(text, str)
        return kind, (code[0] if code else None)

    def name(self, suffix):
        """A name of this case."""
        return f"{self.prefix}{suffix}"

    def spec(self, suffix="vm", **changes):
        """A small instance; it is removed when the case ends."""
        name = self.name(suffix)
        if name not in self.instances:
            self.instances.append(name)
        values: dict[str, Any] = {
            "name": name,
            "os": "snf-image+default",
            "disk_template": "file",
            "hypervisor": self.hypervisor,
            "disks": [DiskSpec(f"{name}-root", 64)],
            "nics": [],
            "vcpus": 1,
            "memory_mib": 128,
            "opportunistic_locking": False,
        }
        return InstanceSpec(**(values | changes))

    def creation(self, suffix="vm", **changes):
        """Submit the creation of a small instance."""
        return self.rapi.create_instance(requests.create_body(self.spec(suffix, **changes)), REASON)

    async def created(self, suffix="vm", **changes):
        """A small instance, created."""
        await self.succeed(self.creation(suffix, **changes))
        return await self.rapi.instance(self.name(suffix))

    async def network(self, suffix="net", cidr="10.91.0.0/28", connected=True, **changes):
        """A network with a gateway, connected unless told otherwise; its name."""
        name = self.name(suffix)
        self.networks.append(name)
        gateway = changes.pop("gateway", cidr.rsplit(".", 1)[0] + ".1")
        body = requests.network_body(name, cidr=cidr, gateway=gateway) | changes
        await self.succeed(self.rapi.create_network(body, REASON))
        if connected:
            await self.succeed(self.connection(name))
        return name

    def connection(self, name, group=None):
        """Submit the connection of a network."""
        body = requests.connect_body(group or self.group, mode="bridged", link=self.link)
        return self.rapi.connect_network(name, body, REASON)

    def change(self, **body):
        """Submit a modification of the case's instance."""
        return self.rapi.modify_instance(self.name("vm"), body, REASON)
