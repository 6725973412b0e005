"""A whole cloud for tests: the application on a test's database, with clusters in memory.

Time is the real reactor's for the application; jobs of the clusters take a hundredth of a second.
Nothing polls by itself: ``settle`` looks until no intent is open.
"""

from __future__ import annotations

import os
import random
import uuid

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.task import deferLater

from synnefo_tx import application
from synnefo_tx.application import Application, Edges
from synnefo_tx.caller import OPERATOR, Caller
from synnefo_tx.compute.servers.model import ServerDraft
from synnefo_tx.ganeti.backends.operations import Registration
from synnefo_tx.ganeti.jobs.store import open_intents
from synnefo_tx.ganeti.memory import ClusterConfig, MemoryGaneti, NodeConfig
from synnefo_tx.identity.projects.store import ProjectStore
from synnefo_tx.settings import Settings
from tests.support.accounts import IN_PLACE
from tests.support.application import CommandTestCase
from tests.support.database import DatabaseTestCase
from tests.support.http import Answer, request
from tests.support.identity import make_user
from tests.support.keyring import fixed_keyring

JOB_SECONDS = 0.01
IMAGE = "5d1c1f3a-7c1e-4f0e-9d5e-6b1f4d0a2c11"
SETTLE_LIMIT = 400


class CloudTestCase(DatabaseTestCase):
    """A cloud with one cluster, a flavor, an image, a public network and a user.

    Attributes: ``app``, ``ganeti`` (by name), ``user`` (a Caller), ``flavor``, ``public``.
    """

    settings = Settings()
    cluster_names = ("alpha",)
    node = NodeConfig("node1.memory.example", cpus=400)
    public_cidr = "203.0.113.0/24"
    app: Application

    async def setUp(self) -> None:
        await super().setUp()
        self.ganeti: dict[str, MemoryGaneti] = {}
        self.backends: dict[str, int] = {}
        for name in self.cluster_names:
            config = ClusterConfig(name=name, nodes=(self.node,), job_seconds=JOB_SECONDS)
            self.ganeti[name] = MemoryGaneti(
                reactor, random.Random(7), config=config, fetch=self.fetch
            )
            self.addCleanup(self.ganeti[name].stop)
        self.app = application.build(self.settings, self.database, fixed_keyring(), self.edges())
        self.fetched: list[bytes] = []
        for name in self.cluster_names:
            await self.add_cluster(name)
        await self._fill()

    def edges(self) -> Edges:
        return Edges(
            clock=reactor,
            entropy=os.urandom,
            new_id=lambda: str(uuid.uuid4()),
            agent_for=lambda endpoint: self.ganeti[endpoint.name].agent(),
            threads=IN_PLACE,
        )

    async def fetch(self, url: str) -> bytes:
        """What the OS installer does: read one-time parameters, completely."""
        id = url.rpartition("/")[2]
        content = await self.app.compute.parameters.read(id)
        await self.app.compute.parameters.end(id)
        self.fetched.append(content)
        return content

    async def add_cluster(self, name: str) -> None:
        backends = self.app.ganeti.backends
        id = await backends.add(
            Registration(name, "127.0.0.1", 5080, "synnefo", "synnefo", fingerprint="00" * 32)
        )
        await backends.modify(id, {"drained": False})
        await backends.refresh(id)
        self.backends[name] = id

    async def _fill(self) -> None:
        kind = await self.app.compute.flavors.create_type("file", "file")
        self.flavors = await self.app.compute.flavors.create([1, 2], [512, 1024], [5], [kind])
        self.flavor = self.flavors[0]
        await self.app.compute.images.register(
            IMAGE, "Debian", "system", "pithosmap://x/1", {"osfamily": "linux"}, size_bytes=1
        )
        made = await self.app.compute.networks.create_public(OPERATOR, "Public", "CUSTOM", None)
        self.public = made.id
        await self.app.compute.networks.add_subnet(OPERATOR, made.id, self.public_cidr)
        self.user = await self.make_caller("user@example.org")

    async def make_caller(self, email: str, **fields: object) -> Caller:
        id = await make_user(self.database, email, **fields)
        return Caller(user=id, email=email, projects=(id,), default_project=id)

    async def token(self, caller: Caller) -> str:
        async with self.database.transaction("token") as tx:
            return (await self.app.identity.tokens.issue(tx, caller.user, "test")).secret

    async def set_limit(self, caller: Caller, resource: str, limit: int) -> None:
        """Give a user's system project a limit of its own."""
        async with self.database.transaction("limit") as tx:
            await ProjectStore(tx).set_limits(caller.user, resource, limit, limit)

    def draft(self, **changes) -> ServerDraft:
        plain = ServerDraft("first", IMAGE, self.flavor, None, {}, (), (), None)
        return evolve(plain, **changes)

    async def create(self, caller: Caller | None = None, **changes) -> int:
        """A server; its id."""
        created = await self.app.compute.servers.create(caller or self.user, self.draft(**changes))
        return created.id

    async def settle(self) -> None:
        """Look at every cluster until no intent is open."""
        for _ in range(SETTLE_LIMIT):
            left = 0
            for id in self.backends.values():
                await self.app.poller.look(id)
                left += len(await open_intents(self.database, id))
            if not left:
                return
            await deferLater(reactor, JOB_SECONDS)
        raise AssertionError(f"{left} intents are still open")

    async def built(self, caller: Caller | None = None, **changes) -> int:
        """A server that runs; its id."""
        id = await self.create(caller, **changes)
        await self.settle()
        self.assertEqual(await self.operstate(id), "STARTED")
        return id

    async def server(self, id: int):
        view = await self.app.compute.servers.show(OPERATOR, id)
        return view.server

    async def operstate(self, id: int) -> str:
        return (await self.server(id)).operstate

    async def usage(self, caller: Caller | None = None) -> dict[str, int]:
        """Usage of the caller's system project by resource, zeros left out."""
        user = (caller or self.user).user
        listing = await self.app.identity.quota.listing(user)
        return {name: each["usage"] for name, each in listing[user].items() if each["usage"]}

    async def assert_exact(self) -> None:
        """Usage equals what exists."""
        self.assertEqual(await self.app.identity.quota.reconcile(self.app.compute.usage), [])

    def instances(self, name: str = "alpha") -> dict:
        return dict(self.ganeti[name].cluster.store.instances)


class CloudCommandTestCase(CloudTestCase, CommandTestCase):
    """A cloud, and commands on it."""


class CloudHttpTestCase(CloudTestCase):
    """A cloud with its HTTP on loopback; ``self.request`` speaks as ``self.user``."""

    async def setUp(self) -> None:
        await super().setUp()
        self.database_url = self.url
        port = reactor.listenTCP(0, self.app.site.site(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.url = f"http://127.0.0.1:{port.getHost().port}"
        self.user_token = await self.token(self.user)

    async def request(self, method: str, path: str, body=None, token="", headers=None) -> Answer:
        """A request; ``token`` None sends none."""
        token = self.user_token if token == "" else token
        return await request(self.url, method, path, body, token=token, headers=headers)
