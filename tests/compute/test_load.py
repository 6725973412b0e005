"""Mixed operations of many callers on 32 connections: no deadlock, exact sums.

``LOAD_OPERATIONS`` sets how many operations are done; acceptance does 20 000.
"""

from __future__ import annotations

import os
import random

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from synnefo_tx.caller import Caller
from synnefo_tx.compute.ports.model import WantedPort
from synnefo_tx.faults import Fault
from tests.support.cloud import JOB_SECONDS, CloudTestCase

OPERATIONS = int(os.environ.get("LOAD_OPERATIONS", "1000"))
CALLERS = 40
PAUSE_SECONDS = 0.2
USERS = 8


class LoadTests(CloudTestCase):
    timeout = 3600
    limits = {
        "connections": 32,
        "waiting": 1000,
        "wait_seconds": 120,
        "statement_seconds": 120,
        "statement_limit_seconds": 120,
        "transaction_seconds": 120,
    }
    public_cidr = "203.0.113.0/26"
    cluster_names = ("alpha", "beta")

    async def setUp(self) -> None:
        await super().setUp()
        self.users = [await self.make_caller(f"u{n}@example.org") for n in range(USERS)]
        self.private = {}
        for user in self.users:
            for resource in ("vm", "cpu", "ram", "total_cpu", "total_ram", "disk"):
                await self.set_limit(user, f"cyclades.{resource}", 2**60)
            await self.set_limit(user, "cyclades.vm", 7)
            await self.set_limit(user, "cyclades.cpu", 9)
            networks = self.app.compute.networks
            made = await networks.create_private(user, "n", "MAC_FILTERED", None)
            await networks.add_subnet(user, made.id, "192.168.7.0/28")
            self.private[user.user] = made.id
        self.left = OPERATIONS
        self.statuses: dict[int, int] = {}

    async def act(self, chance: random.Random, user: Caller) -> None:
        servers = await self.app.compute.servers.listing(user)
        actions = self.app.compute.actions
        if not servers or chance.random() < 0.4:
            network = (WantedPort(self.private[user.user]),)
            await self.create(user, networks=network if chance.random() < 0.5 else ())
            return
        id = chance.choice(servers).server.id
        choice = chance.randrange(6)
        if choice == 0:
            await actions.start(user, id)
        elif choice == 1:
            await actions.shutdown(user, id)
        elif choice == 2:
            await actions.resize(user, id, chance.choice(self.flavors))
        elif choice == 3:
            await actions.reboot(user, id, hard=True)
        else:
            await actions.delete(user, id)

    async def caller(self, number: int) -> None:
        chance = random.Random(number)
        while self.left > 0:
            self.left -= 1
            try:
                await self.act(chance, self.users[number % USERS])
            except Fault as fault:
                self.statuses[fault.status] = self.statuses.get(fault.status, 0) + 1
                # Anything that is not the caller's doing shows here.
                self.assertIn(fault.status, (400, 404, 409, 413, 503), fault.message)
                await deferLater(reactor, PAUSE_SECONDS)
            else:
                self.statuses[202] = self.statuses.get(202, 0) + 1

    async def follow(self) -> None:
        while self.left > 0:
            for backend in self.backends.values():
                await self.app.poller.look(backend)
            await deferLater(reactor, JOB_SECONDS)

    async def test_load(self) -> None:
        """Creates, starts, stops, resizes, reboots and removals at once leave exact sums."""
        callers = [Deferred.fromCoroutine(self.caller(n)) for n in range(CALLERS)]
        await gatherResults([*callers, Deferred.fromCoroutine(self.follow())])
        await self.settle()
        self.assertGreater(self.statuses[202], OPERATIONS / 50)
        deadlocks = await self.database.read(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        self.assertEqual(deadlocks, [(0,)])
        await self.assert_exact()
        rows = await self.database.read(
            "SELECT (SELECT count(*) FROM ports), (SELECT count(DISTINCT (network, address)) FROM"
            " ports), (SELECT count(*) FROM pool_items WHERE state = 'held'"
            " AND holder LIKE 'port:%%'), (SELECT count(*) FROM servers WHERE task <> ''),"
            " (SELECT count(*) FROM provisions)",
            {},
        )
        ports, addresses, held, busy, pending = rows[0]
        self.assertEqual((ports, ports, 0, 0), (addresses, held, busy, pending))
        live = [
            each.server.id
            for user in self.users
            for each in await self.app.compute.servers.listing(user)
        ]
        instances = {**self.instances("alpha"), **self.instances("beta")}
        self.assertEqual({f"snf-{id}" for id in live}, set(instances))
