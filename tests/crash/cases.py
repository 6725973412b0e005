"""A cloud that is killed again and again under load, and what must hold of it afterwards."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from random import Random

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from synnefo_tx.caller import OPERATOR
from synnefo_tx.cli.context import opened
from synnefo_tx.compute.servers.store import of_backend
from synnefo_tx.ganeti.backends.operations import NOW, Registration
from synnefo_tx.ganeti.jobs.store import open_intents
from synnefo_tx.ganeti.poller import Listing
from synnefo_tx.identity.projects.store import ProjectStore
from tests.crash.load import DEEDS, SERVERS, User
from tests.support.http import request
from tests.support.identity import make_user
from tests.support.processes import CloudProcess, Twistd, free_ports, processes_of, until

IMAGE = "5d1c1f3a-7c1e-4f0e-9d5e-6b1f4d0a2c11"
SEED = 20
USERS = 4
LIFE_SECONDS = (0.8, 2.5)
WORK_LIMIT_SECONDS = 60.0
HEAL_LIMIT_SECONDS = 60.0
RESTART_LIMIT_SECONDS = 60.0
SERVERS_PER_USER_MAX = 8
CHANGES = {
    "GANETI__REQUEST_LIMIT_SECONDS": "2",
    "GANETI__LOST_LOOK_SECONDS": "1",
    "GANETI__OPEN_POLL_SECONDS": "0.3",
    "GANETI__LISTING_SECONDS": "2",
    "GANETI__STATS_REFRESH_SECONDS": "2",
}


class CrashTestCase(TestCase):
    """A cloud and a cluster in memory as processes, and several users.

    ``changes`` are settings of the cloud beside CHANGES, ``cluster_options`` further options of
    the cluster.
    """

    timeout = 600
    arguments = ()
    hypervisor = "fake"
    changes: Mapping[str, str] = {}

    @property
    def cluster_options(self):
        return []

    async def setUp(self):
        self.random = Random(SEED)
        # PostgreSQL's socket needs a short path.
        self.folder = Path(tempfile.mkdtemp(prefix="synnefo-crash-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.cloud = CloudProcess(
            self.folder / "home", {**CHANGES, **self.changes}, *self.arguments
        )
        (port,) = free_ports(1)
        state = self.folder / "ganeti"
        self.cluster = Twistd(
            {"SYNNEFO_HOME": str(self.folder)},
            "--logger", "synnefo_tx.log.ganeti_file", "synnefo-memory-ganeti",
            "--port", str(port), "--state", str(state), "--job-seconds", "0.2",
            *self.cluster_options,
        )  # fmt: skip
        self.addCleanup(self.end)
        self.cluster.start()
        await self.cloud.start_ready()
        rapi = state / "rapi.json"

        async def serves():
            return rapi.exists()

        await until(serves, 30, "the cluster serves")
        await self.install(json.loads(rapi.read_text()))

    def application(self):
        """The application's objects beside the service, as commands have them."""
        return opened(self.cloud.settings, reactor, needs_schema=True)

    async def install(self, rapi):
        """A cluster, flavors, an image, a public network, users with tokens."""
        async with self.application() as app:
            backends, compute = app.ganeti.backends, app.compute
            wanted = Registration(
                rapi["name"], rapi["host"], rapi["port"], rapi["username"], rapi["password"],
                fingerprint=rapi["fingerprint"], hypervisor=self.hypervisor,
            )  # fmt: skip
            self.backend = await backends.add(wanted)
            await backends.modify(self.backend, {"drained": False})
            await backends.refresh(self.backend)
            kind = await compute.flavors.create_type("file", "file")
            flavors = await compute.flavors.create([1, 2], [128, 256], [1], [kind])
            await compute.images.register(
                IMAGE, "Debian", "system", "pithosmap://x/1", {"osfamily": "linux"}, size_bytes=1
            )
            network = await compute.networks.create_public(OPERATOR, "Public", "CUSTOM", None)
            await compute.networks.add_subnet(OPERATOR, network.id, "203.0.113.0/24")
            self.users = [await self.sign_up(app, number, flavors) for number in range(USERS)]

    async def sign_up(self, app, number, flavors):
        id = await make_user(app.database, f"user{number}@example.org")
        async with app.database.transaction("crash-user") as tx:
            token = (await app.identity.tokens.issue(tx, id, "crash")).secret
            for resource, limit in (
                ("cyclades.vm", SERVERS_PER_USER_MAX),
                ("cyclades.cpu", 2 * SERVERS_PER_USER_MAX),
                ("cyclades.total_cpu", 2 * SERVERS_PER_USER_MAX),
            ):
                await ProjectStore(tx).set_limits(id, resource, limit, limit)
        return User(self.cloud.url, token, IMAGE, flavors, Random(f"{SEED}-{number}"))

    async def end(self):
        await self.cloud.end()
        await self.cluster.end()

    async def survive(self, kills):
        """Kill and restart under load; then heal, and look at everything."""
        working = gatherResults([Deferred.fromCoroutine(each.work()) for each in self.users])
        self.assertGreaterEqual(len(processes_of(self.folder)), 3)
        for _ in range(kills):
            await deferLater(reactor, self.random.uniform(*LIFE_SECONDS))
            await self.strike()
        await until(self.did_everything, WORK_LIMIT_SECONDS, f"every one of {sorted(set(DEEDS))}")
        for each in self.users:
            each.stopping = True
        await working
        self.assert_answers()
        async with self.application() as app:
            await until(lambda: self.rests(app), HEAL_LIMIT_SECONDS, "everything rests")
            await self.assert_whole(app)
        await self.end()
        self.assertEqual(processes_of(self.folder), [])

    async def strike(self):
        """Kill something, and see that it comes back."""
        await self.kill_and_restart()

    async def kill_and_restart(self):
        await self.cloud.end("KILL")
        begun = reactor.seconds()
        await self.cloud.start_ready()
        self.assertLess(reactor.seconds() - begun, RESTART_LIMIT_SECONDS)

    async def did_everything(self):
        """Whether each kind of request was accepted by now."""
        return {name for each in self.users for name in each.done} >= set(DEEDS)

    def assert_answers(self):
        """Some requests went unanswered; none was answered as it must not be."""
        self.assertGreater(sum(each.unanswered for each in self.users), 0)
        self.assertEqual([text for each in self.users for text in each.wrong], [])

    async def rests(self, app):
        """Whether no job is open and no server has a task."""
        servers = await of_backend(app.database, self.backend)
        busy = any(each.task or each.operstate == "BUILD" for each in servers)
        return not busy and not await open_intents(app.database, self.backend)

    async def assert_whole(self, app):
        """All that must hold of servers, instances, addresses and usage."""
        begun = (await app.database.read(NOW))[0][0]
        rapi = await app.ganeti.backends.rapi(self.backend)
        instances = await rapi.instances()
        names = [each["name"] for each in instances]
        self.assertEqual(len(names), len(set(names)))
        servers = {}
        for each in self.users:
            servers |= await self.assert_promises(each, set(names))
        await self.assert_once(app)
        orphans = set(names) - {f"snf-{id}" for id in servers}
        self.assertEqual(orphans, set())
        listing = Listing(self.backend, begun, instances)
        self.assertEqual(await app.compute.reconciliation.findings(listing), [])
        self.assertEqual(await app.identity.quota.reconcile(app.compute.usage), [])
        self.assert_addresses(servers, {each["name"]: each["nic.ips"] for each in instances})

    async def assert_once(self, app):
        """No key made two servers, all replies of one told of the same, some were given again."""
        made = await app.database.read("SELECT name, userid FROM servers")
        self.assertEqual(len(made), len(set(made)))
        told = [ids for each in self.users for ids in each.keys.values()]
        self.assertEqual([ids for ids in told if len(ids) > 1], [])
        self.assertGreater(sum(each.replayed for each in self.users), 0)

    def assert_addresses(self, servers, held):
        """No address is held twice, and each server has those that its instance holds."""
        addresses = [ip for each in held.values() for ip in each]
        self.assertEqual(len(addresses), len(set(addresses)))
        for id, server in servers.items():
            if server["status"] != "ERROR":
                attached = [nic["ipv4"] for nic in server["attachments"]]
                self.assertEqual(sorted(held[f"snf-{id}"]), sorted(attached))

    async def assert_promises(self, user, names):
        """The user's live servers by id, each as it was promised; nothing pending in the quota."""
        listed = (await self.read(user, f"{SERVERS}/detail"))["servers"]
        servers = {each["id"]: each for each in listed}
        for id in user.accepted - set(servers):
            self.assertIn(id, user.asked_to_delete)
        for id, server in servers.items():
            if server["status"] == "ERROR":
                self.assertTrue(server["diagnostics"], server)
            else:
                self.assertIn(server["status"], ("ACTIVE", "STOPPED"))
                self.assertIn(f"snf-{id}", names)
        for holdings in (await self.read(user, "/account/v1.0/quotas")).values():
            for resource, holding in holdings.items():
                self.assertEqual(holding["pending"], 0, resource)
        return servers

    async def read(self, user, path):
        answer = await request(self.cloud.url, "GET", path, token=user.token)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json
