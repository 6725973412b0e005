"""A cloud as an operator installs it on real clusters, and a user of it."""

import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.internet.tcp import Client
from twisted.trial.unittest import SkipTest, TestCase

from synnefo_tx.caller import OPERATOR
from synnefo_tx.cli.context import opened
from synnefo_tx.ganeti.backends.operations import NOW
from synnefo_tx.ganeti.poller import Listing
from synnefo_tx.ganeti.rapi import TreqRapi
from synnefo_tx.ganeti.tls import tls_agent
from tests.acceptance.clusters import RealCluster, clusters
from tests.support.http import request
from tests.support.processes import CloudProcess, until

reactor: Any = _reactor
IMAGE = "5d1c1f3a-7c1e-4f0e-9d5e-6b1f4d0a2c11"
EMAIL = "user@example.org"
PUBLIC_CIDR = "203.0.113.0/27"
PRIVATE_CIDR = "192.168.77.0/24"
REASON = "acceptance:clean"
STATE_LIMIT_SECONDS = 90.0
MIB = 1024 * 1024


class InstalledCloudTestCase(TestCase):
    """``self.cloud`` runs on every cluster of the runner; ``self.api`` asks as ``self.user``."""

    timeout = 600
    clusters_count = 2
    changes: dict[str, str] = {}

    async def setUp(self):
        self.clusters = clusters()[: self.clusters_count]
        if len(self.clusters) < self.clusters_count:
            raise SkipTest("no clusters: run it by python -m tests.acceptance.run cloud")
        self.prefix = f"a{secrets.token_hex(2)}-"
        # PostgreSQL's socket needs a short path.
        self.home = Path(tempfile.mkdtemp(prefix="synnefo-cloud-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        bridge = self.clusters[0].bridge
        changes = {
            "COMPUTE__BACKEND_PREFIX_ID": self.prefix,
            "COMPUTE__VCPU_RATIO_MAX": "64",
            "COMPUTE__DEFAULT_BRIDGE": bridge,
            "COMPUTE__MAC_FILTERED_BRIDGE": bridge,
        }
        self.cloud = CloudProcess(self.home, changes | self.changes)
        self.rapis = {each.name: self.rapi_of(each) for each in self.clusters}
        self.addCleanup(self.leave)
        await self.cloud.start_ready()
        await self.install()
        await self.sign_up()

    def rapi_of(self, cluster: RealCluster):
        agent = tls_agent(reactor, cluster.endpoint)
        return TreqRapi(agent, cluster.endpoint, reactor)

    def application(self):
        """The application's objects beside the running service, as commands have them."""
        return opened(self.cloud.settings, reactor, needs_schema=True)

    async def install(self):
        """What an operator does once."""
        for position, cluster in enumerate(self.clusters, 1):
            given = self.seen_by_cloud(cluster)
            await self.cloud.manage(
                "backend-add", "--clustername", (await self.rapis[cluster.name].info())["name"],
                "--host", given.host, "--port", str(given.port), "--user", given.username,
                "--pass", "-", "--fingerprint", given.fingerprint_sha256,
                typed=given.password + "\n",
            )  # fmt: skip
            await self.cloud.manage("backend-modify", str(position), "--drained", "False")
        async with self.application() as app:
            kind = await app.compute.flavors.create_type("file", "file")
            self.flavors = await app.compute.flavors.create([1, 2], [128], [1], [kind])
            await app.compute.images.register(
                IMAGE, "Debian", "system", "pithosmap://x/1", {"osfamily": "linux"}, size_bytes=1
            )
            network = await app.compute.networks.create_public(
                OPERATOR, "Internet", "CUSTOM", self.clusters[0].bridge
            )
            await app.compute.networks.add_subnet(OPERATOR, network.id, PUBLIC_CIDR)

    def seen_by_cloud(self, cluster: RealCluster) -> RealCluster:
        """Where the cloud calls a cluster."""
        return cluster

    async def sign_up(self):
        """A user, who logs in with the password."""
        password = secrets.token_urlsafe(12)
        await self.cloud.manage(
            "user-add", EMAIL, "Uma", "User", "--password", "-", typed=password + "\n"
        )
        listed = await self.cloud.manage("user-list", "-o", "uuid")
        (self.user,) = [each["uuid"] for each in listed]
        await self.cloud.manage("user-modify", self.user, "--verify")
        await self.cloud.manage("user-modify", self.user, "--accept")
        identity = {"name": EMAIL, "password": password, "domain": {"id": "default"}}
        methods = {"methods": ["password"], "password": {"user": identity}}
        answer = await request(
            self.cloud.url, "POST", "/identity/v3/auth/tokens", {"auth": {"identity": methods}}
        )
        self.assertEqual(answer.status, 201, answer.body)
        self.token = answer.header("X-Subject-Token")

    async def ask(self, method, path, body=None, status=200):
        """The document that the API answers; fails unless its status is ``status``."""
        answer = await request(self.cloud.url, method, path, body, token=self.token)
        self.assertEqual(answer.status, status, answer.body)
        return answer.json

    async def private_network(self):
        """A network of the user's own; its id."""
        made = await self.ask(
            "POST",
            "/network/v2.0/networks",
            {"network": {"name": "own", "type": "MAC_FILTERED"}},
            status=201,
        )
        id = made["network"]["id"]
        subnet = {"network_id": id, "cidr": PRIVATE_CIDR, "ip_version": 4}
        await self.ask("POST", "/network/v2.0/subnets", {"subnet": subnet}, status=201)
        return id

    async def create(self, **fields):
        """Ask for a server; the reply's document."""
        wanted = {"name": "first", "flavorRef": self.flavors[0], "imageRef": IMAGE, **fields}
        answer = await self.ask("POST", "/compute/v2.0/servers", {"server": wanted}, status=202)
        return answer["server"]

    async def server(self, id):
        return (await self.ask("GET", f"/compute/v2.0/servers/{id}"))["server"]

    async def reached(self, id, status):
        """The server at rest in a state; fails at once when it is in error instead."""

        async def at_rest():
            server = await self.server(id)
            if status != "ERROR":
                self.assertNotEqual(server["status"], "ERROR", server["diagnostics"])
            return server if (server["status"], server["SNF:task_state"]) == (status, "") else None

        return await until(at_rest, STATE_LIMIT_SECONDS, f"server {id} is {status}")

    async def act(self, id, **action):
        """An action that is accepted."""
        path = f"/compute/v2.0/servers/{id}/action"
        return await self.ask("POST", path, action, status=202)

    async def instances(self):
        """This cloud's instances on every cluster, by name: (cluster, instance)."""
        found: dict[str, tuple[str, Any]] = {}
        for name, rapi in self.rapis.items():
            for each in await rapi.instances():
                if each["name"].startswith(self.prefix):
                    self.assertNotIn(each["name"], found)
                    found[each["name"]] = (name, each)
        return found

    async def assert_quota_exact(self):
        """The quota that the API tells equals what Ganeti lists."""
        listed = [each for _, each in (await self.instances()).values()]
        running = [each for each in listed if each["oper_state"]]
        expected = {
            "cyclades.vm": len(listed),
            "cyclades.cpu": sum(each["beparams"]["vcpus"] for each in running),
            "cyclades.ram": sum(each["beparams"]["maxmem"] for each in running) * MIB,
            "cyclades.disk": sum(sum(each["disk.sizes"]) for each in listed) * MIB,
        }
        holdings = (await self.ask("GET", "/account/v1.0/quotas"))[self.user]
        told = {name: (holdings[name]["usage"], holdings[name]["pending"]) for name in expected}
        self.assertEqual(told, {name: (amount, 0) for name, amount in expected.items()})

    async def assert_reconciled(self):
        """Quota reconciliation and a dry run over the servers of each cluster find nothing."""
        async with self.application() as app:
            self.assertEqual(await app.identity.quota.reconcile(app.compute.usage), [])
            for backend in await app.ganeti.backends.list():
                rapi = await app.ganeti.backends.rapi(backend.id)
                begun = (await app.database.read(NOW))[0][0]
                listing = Listing(backend.id, begun, await rapi.instances())
                self.assertEqual(await app.compute.reconciliation.findings(listing), [])

    async def leave(self):
        """Stop the cloud, remove what it left on the clusters, let RAPI close its connections."""
        await self.cloud.end()
        for rapi in self.rapis.values():
            await self.empty(rapi)
        for _ in range(500):
            if not any(isinstance(reader, Client) for reader in reactor.getReaders()):
                return
            await deferLater(reactor, 0.01)
        self.fail("a connection is still open")

    async def empty(self, rapi):
        for each in await rapi.instances():
            if each["name"].startswith(self.prefix):
                name = each["name"]
                await self.done(
                    rapi, rapi.delete_instance(name, REASON, shutdown_timeout_seconds=0)
                )
        for each in await rapi.networks():
            if each["name"].startswith(self.prefix):
                for group in each["group_list"]:
                    await self.done(rapi, rapi.disconnect_network(each["name"], group[0], REASON))
                await self.done(rapi, rapi.delete_network(each["name"], REASON))

    async def done(self, rapi, submission):
        """The job submitted, when it has ended."""
        job_id = await submission

        async def final():
            job = await rapi.job(job_id)
            return job if job.final else None

        return await until(final, STATE_LIMIT_SECONDS, f"job {job_id} ends")
