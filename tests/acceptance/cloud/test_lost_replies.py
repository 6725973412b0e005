"""RAPI's requests and replies are lost, foreign jobs in between: still each instance once."""

from tests.acceptance.cloud.cutting_proxy import REPLY_LOST, REQUEST_LOST, CuttingProxy
from tests.acceptance.cloud.installed import InstalledCloudTestCase

FOREIGN = "acceptance:foreign"


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

        proxy = self.proxies[cluster.name] = CuttingProxy(cluster, foreign_job)
        self.addCleanup(proxy.port.stopListening)
        return proxy.place

    async def setUp(self):
        self.proxies: dict[str, CuttingProxy] = {}
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
        for proxy in self.proxies.values():
            self.assertEqual(proxy.failures, [])

    def name_of(self, server):
        return f"{self.prefix}{server['id']}"

    async def create_with(self, fault):
        """A server whose creation meets the fault, whichever cluster it goes to."""
        for proxy in self.proxies.values():
            proxy.faults.append(fault)
        created = await self.create(name=fault)
        await self.reached(created["id"], "ACTIVE")
        used = [proxy.used.pop() for proxy in self.proxies.values() if proxy.used]
        self.assertEqual(used, [fault])
        for proxy in self.proxies.values():
            proxy.faults.clear()
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
