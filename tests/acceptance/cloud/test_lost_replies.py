"""RAPI's requests and replies are lost, foreign jobs in between: still each instance once."""

from pathlib import Path

from attrs import Factory, define, evolve

from tests.acceptance.cloud.installed import InstalledCloudTestCase
from tests.support.cutting_proxy import REPLY_LOST, REQUEST_LOST, CuttingProxy

FOREIGN = "acceptance:foreign"


@define
class CreationFaults:
    """Faults that creations of instances use up in order."""

    waiting: list[str] = Factory(list)
    used: list[str] = Factory(list)

    def __call__(self, target: bytes) -> str:
        if not self.waiting or target != b"POST /2/instances":
            return ""
        self.used.append(self.waiting.pop(0))
        return self.used[-1]


class LostReplyTests(InstalledCloudTestCase):
    """Every cluster is reached through a proxy that loses what it is told to."""

    changes = {
        "GANETI__REQUEST_LIMIT_SECONDS": "4",
        "GANETI__LOST_LOOK_SECONDS": "3",
        "GANETI__STATS_REFRESH_SECONDS": "5",
    }

    def seen_by_cloud(self, cluster):
        """The proxy before it."""

        async def foreign_job():
            # It fails where the instance is not; a job it is all the same.
            await self.rapis[cluster.name].set_tags(self.first_instance, ["foreign"], FOREIGN)

        faults = self.faults[cluster.name] = CreationFaults()
        pem = Path(cluster.state) / "lib" / "rapi.pem"
        proxy = CuttingProxy(cluster.host, cluster.port, pem, faults, foreign_job)
        self.proxies.append(proxy)
        self.addCleanup(proxy.listening.stopListening)
        return evolve(cluster, host="127.0.0.1", port=proxy.port)

    async def setUp(self):
        self.proxies: list[CuttingProxy] = []
        self.faults: dict[str, CreationFaults] = {}
        self.first_instance = ""
        await super().setUp()

    async def test_lost(self):
        """A lost reply and a lost request: one instance and one job each, and an ACTIVE server."""
        first = await self.create(name="first")
        await self.reached(first["id"], "ACTIVE")
        first_cluster = (await self.instances())[self.name_of(first)][0]
        self.first_instance = self.name_of(first)
        second = await self.create(name="second")
        await self.reached(second["id"], "ACTIVE")
        placed = await self.instances()
        self.assertEqual({name for name, _ in placed.values()}, set(self.rapis))
        self.assertNotEqual(placed[self.name_of(second)][0], first_cluster)
        for fault in (REPLY_LOST, REQUEST_LOST):
            await self.create_with(fault)
        await self.assert_quota_exact()
        await self.assert_reconciled()
        for proxy in self.proxies:
            self.assertEqual(proxy.failures, [])

    def name_of(self, server):
        return f"{self.prefix}{server['id']}"

    async def create_with(self, fault):
        """A server whose creation meets the fault, whichever cluster it goes to."""
        for faults in self.faults.values():
            faults.waiting.append(fault)
        created = await self.create(name=fault)
        await self.reached(created["id"], "ACTIVE")
        used = [faults.used.pop() for faults in self.faults.values() if faults.used]
        self.assertEqual(used, [fault])
        for faults in self.faults.values():
            faults.waiting.clear()
        name = self.name_of(created)
        self.assertIn(name, await self.instances())
        jobs = [job for rapi in self.rapis.values() for job in await rapi.jobs_since(0)]
        creations = [
            job
            for job in jobs
            for op in job.ops
            if op["OP_ID"] == "OP_INSTANCE_CREATE" and op["instance_name"] == name
        ]
        self.assertEqual([job.status for job in creations], ["success"])
