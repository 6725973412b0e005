"""Servers through their use cases, on a cloud with a cluster in memory."""

from __future__ import annotations

import json

from synnefo_tx.caller import OPERATOR
from synnefo_tx.compute.ports.model import WantedPort
from synnefo_tx.compute.servers.model import PersonalityFile
from synnefo_tx.faults import (
    BadRequest,
    BuildInProgress,
    Conflict,
    ItemNotFound,
    OverLimit,
    ServiceUnavailable,
)
from synnefo_tx.ganeti.memory import Fault, JobFault
from synnefo_tx.settings import Ganeti, Settings
from synnefo_tx.units import GIB, MIB
from tests.support.cloud import CloudTestCase

ONE = {
    "cyclades.vm": 1,
    "cyclades.cpu": 1,
    "cyclades.ram": 512 * MIB,
    "cyclades.disk": 5 * GIB,
}
STOPPED = {"cyclades.vm": 1, "cyclades.disk": 5 * GIB}


class LifeTests(CloudTestCase):
    async def test_life(self) -> None:
        """Create, stop, resize, start, reboot, delete: usage equals what exists at every step."""
        actions = self.app.compute.actions
        id = await self.create()
        self.assertEqual(await self.usage(), ONE)
        await self.settle()
        self.assertEqual(await self.operstate(id), "STARTED")
        await actions.shutdown(self.user, id)
        await self.settle()
        self.assertEqual(await self.usage(), STOPPED)
        await actions.resize(self.user, id, self.flavors[3])
        await self.settle()
        self.assertEqual((await self.server(id)).flavor, self.flavors[3])
        await actions.start(self.user, id)
        await self.settle()
        self.assertEqual(await self.usage(), ONE | {"cyclades.cpu": 2, "cyclades.ram": 1024 * MIB})
        await actions.reboot(self.user, id, hard=True)
        await self.settle()
        self.assertEqual(await self.operstate(id), "STARTED")
        await self.assert_exact()
        await actions.delete(self.user, id)
        await self.settle()
        self.assertEqual(await self.operstate(id), "DESTROYED")
        self.assertEqual((await self.usage(), self.instances()), ({}, {}))
        await self.assert_exact()

    async def test_instance_is_as_asked(self) -> None:
        """The instance has the server's size, disk, MAC, address, and the tag of its intent."""
        id = await self.built()
        instance = self.instances()[f"snf-{id}"]
        self.assertEqual(instance.memory_mib, 512)
        (nic,) = (await self.app.compute.servers.show(self.user, id)).nics
        self.assertEqual(nic.address, "203.0.113.2")
        listed = await (await self.app.ganeti.backends.rapi(1)).instance(f"snf-{id}")
        self.assertEqual(listed["nic.ips"], ["203.0.113.2"])
        self.assertEqual(listed["nic.macs"], [nic.mac])
        self.assertEqual(listed["disk.sizes"], [5 * 1024])
        self.assertTrue(listed["tags"][0].startswith("cyclades:system:intent:"))

    async def test_parameters_reach_the_installer_once(self) -> None:
        """The OS installer gets password and files; after that the parameters are gone."""
        file = PersonalityFile("/etc/motd", "aGk=")
        await self.built(personality=(file,), admin_password="Secret12345")
        (content,) = self.fetched
        document = json.loads(content)
        self.assertEqual(document["img_passwd"], "Secret12345")
        self.assertEqual(json.loads(document["img_personality"])[0]["path"], "/etc/motd")
        self.assertEqual(json.loads(document["img_properties"]), {"OSFAMILY": "linux"})
        rows = await self.database.read("SELECT count(*) FROM server_params")
        self.assertEqual(rows, [(0,)])

    async def test_no_secret_in_job_or_intent(self) -> None:
        """Neither the job on the cluster nor our intent holds the password or the files."""
        file = PersonalityFile("/etc/key", "Q2FuYXJ5RmlsZQ==")
        await self.built(personality=(file,), admin_password="CanaryPass123")
        jobs = await (await self.app.ganeti.backends.rapi(1)).jobs_since(0)
        intents = await self.database.read("SELECT arguments::text FROM intents")
        text = repr(jobs) + repr(intents)
        self.assertNotIn("CanaryPass123", text)
        self.assertNotIn("Q2FuYXJ5RmlsZQ", text)

    async def test_start_of_running(self) -> None:
        """Starting what runs is refused, and nothing is reserved for it."""
        id = await self.built()
        with self.assertRaises(BadRequest):
            await self.app.compute.actions.start(self.user, id)
        self.assertEqual(await self.usage(), ONE)

    async def test_start_over_quota(self) -> None:
        """A start beyond the limit of CPUs is a 413 and leaves the server as it was."""
        id = await self.built()
        await self.app.compute.actions.shutdown(self.user, id)
        await self.settle()
        await self.set_limit(self.user, "cyclades.cpu", 0)
        with self.assertRaises(OverLimit):
            await self.app.compute.actions.start(self.user, id)
        server = await self.server(id)
        self.assertEqual((server.operstate, server.task), ("STOPPED", ""))
        self.assertEqual(await self.usage(), STOPPED)

    async def test_actions_while_building(self) -> None:
        """Until its job runs a new server takes no action, not even removal: 409."""
        id = await self.create()
        for act in (self.app.compute.actions.start, self.app.compute.actions.delete):
            with self.assertRaises(BuildInProgress):
                await act(self.user, id)
        await self.settle()

    async def test_delete_twice(self) -> None:
        """A second removal while the first is under way asks nothing more of the cluster."""
        id = await self.built()
        await self.app.compute.actions.delete(self.user, id)
        await self.app.compute.actions.delete(self.user, id)
        rows = await self.database.read(
            "SELECT count(*) FROM intents WHERE opcode = 'OP_INSTANCE_REMOVE'"
        )
        self.assertEqual(rows, [(1,)])
        await self.settle()
        with self.assertRaises(BadRequest):
            await self.app.compute.actions.delete(self.user, id)

    async def test_stranger(self) -> None:
        """A stranger's server is as absent as one that never was."""
        id = await self.built()
        stranger = await self.make_caller("stranger@example.org")
        for wrong in (id, 5000):
            for act in (
                self.app.compute.servers.show,
                self.app.compute.actions.start,
                self.app.compute.actions.delete,
            ):
                with self.assertRaises(ItemNotFound):
                    await act(stranger, wrong)


class FailureTests(CloudTestCase):
    settings = Settings(ganeti=Ganeti(submit_limit_seconds=0.5, lost_look_seconds=0.05))

    async def test_refused_build(self) -> None:
        """A build that the cluster's job refuses ends in ERROR with a reason that users see."""
        self.ganeti["alpha"].faults.add(Fault(JobFault.FAILS))
        id = await self.create()
        await self.settle()
        view = await self.app.compute.servers.show(self.user, id)
        self.assertEqual(view.server.operstate, "ERROR")
        self.assertIn("could not be built", view.diagnostic["message"])
        self.assertEqual(await self.usage(), ONE)
        await self.app.compute.actions.delete(self.user, id)
        await self.settle()
        self.assertEqual((await self.operstate(id), await self.usage()), ("DESTROYED", {}))
        await self.assert_exact()

    async def test_failed_start(self) -> None:
        """A start that fails gives its reservation back and says why."""
        id = await self.built()
        await self.app.compute.actions.shutdown(self.user, id)
        await self.settle()
        self.ganeti["alpha"].faults.add(Fault(JobFault.FAILS))
        await self.app.compute.actions.start(self.user, id)
        await self.settle()
        view = await self.app.compute.servers.show(self.user, id)
        self.assertEqual((view.server.operstate, view.server.task), ("STOPPED", ""))
        self.assertIn("Starting failed", view.diagnostic["message"])
        self.assertEqual(await self.usage(), STOPPED)
        await self.assert_exact()

    async def test_no_room(self) -> None:
        """When no cluster has room the request is a 503 and nothing is held."""
        await self.app.ganeti.backends.modify(1, {"drained": True})
        with self.assertRaises(ServiceUnavailable):
            await self.create()
        self.assertEqual((await self.usage(), await self.rows("servers")), ({}, 0))
        self.assertEqual(await self.rows("ports"), 0)

    async def rows(self, table: str) -> int:
        return (await self.database.read(f"SELECT count(*) FROM {table}"))[0][0]

    async def test_quota(self) -> None:
        """Over quota is a 413; address, room and rows are given back."""
        await self.set_limit(self.user, "cyclades.vm", 0)
        with self.assertRaises(OverLimit):
            await self.create()
        held = await self.database.read(
            "SELECT count(*) FROM pool_items WHERE state = 'held' AND holder LIKE 'port:%'"
        )
        reserved = await self.database.read("SELECT reserved_instances FROM backends")
        self.assertEqual((held, reserved), ([(0,)], [(0,)]))
        self.assertEqual(await self.rows("servers"), 0)


class NetworkTests(CloudTestCase):
    async def private(self, cidr: str = "192.168.5.0/29") -> int:
        networks = self.app.compute.networks
        made = await networks.create_private(self.user, "net", "MAC_FILTERED", None)
        await networks.add_subnet(self.user, made.id, cidr)
        return made.id

    async def test_private_network(self) -> None:
        """A server on a private network has an address there and a MAC of the network's prefix."""
        network = await self.private()
        id = await self.built(networks=(WantedPort(network),))
        view = await self.app.compute.servers.show(self.user, id)
        self.assertEqual([nic.address for nic in view.nics], ["203.0.113.2", "192.168.5.2"])
        self.assertTrue(view.nics[1].mac.startswith("aa:00:1"))
        names = set(self.ganeti["alpha"].cluster.store.networks)
        self.assertEqual(names, {f"snf-net-{self.public}", f"snf-net-{network}"})

    async def test_fixed_ip(self) -> None:
        """A wanted address is given; a second server that wants it gets 409."""
        network = await self.private()
        wanted = (WantedPort(network, "192.168.5.5"),)
        id = await self.built(networks=wanted)
        view = await self.app.compute.servers.show(self.user, id)
        self.assertEqual(view.nics[1].address, "192.168.5.5")
        with self.assertRaises(Conflict):
            await self.create(networks=wanted)
        with self.assertRaises(BadRequest):
            await self.create(networks=(WantedPort(network, "10.0.0.1"),))

    async def test_foreign_network(self) -> None:
        """A network of somebody else is a 404."""
        network = await self.private()
        stranger = await self.make_caller("stranger@example.org")
        with self.assertRaises(ItemNotFound):
            await self.create(stranger, networks=(WantedPort(network),))

    async def test_delete_network(self) -> None:
        """A network with ports stays; without, it goes from the cluster, and its charge with it."""
        network = await self.private()
        id = await self.built(networks=(WantedPort(network),))
        with self.assertRaises(Conflict):
            await self.app.compute.networks.delete(self.user, network)
        await self.app.compute.actions.delete(self.user, id)
        await self.settle()
        await self.app.compute.networks.delete(self.user, network)
        await self.settle()
        found = await self.app.compute.networks.show(self.user, network)
        self.assertTrue(found.deleted)
        self.assertNotIn(f"snf-net-{network}", self.ganeti["alpha"].cluster.store.networks)
        self.assertEqual(await self.usage(), {})
        await self.assert_exact()

    async def test_address_rests(self) -> None:
        """A freed public address is not given to another at once."""
        id = await self.built()
        await self.app.compute.actions.delete(self.user, id)
        await self.settle()
        other = await self.make_caller("other@example.org")
        again = await self.built(other)
        view = await self.app.compute.servers.show(OPERATOR, again)
        self.assertEqual(view.nics[0].address, "203.0.113.3")
