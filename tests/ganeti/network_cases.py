"""Networks, for every cluster."""

from synnefo_tx.ganeti import requests
from synnefo_tx.ganeti.requests import NicSpec
from tests.ganeti.cluster_support import REASON, ClusterSupport


class NetworkCases(ClusterSupport):
    """Networks and their addresses."""

    async def test_addresses(self):
        """The map shows what is reserved; gateway, first, last and added ones are."""
        name = await self.network(
            add_reserved_ips=["10.91.0.3"], network6="2001:db8::/64", tags=["public"]
        )
        network = await self.rapi.network(name)
        self.assertEqual(network["map"], "XX.X...........X")
        self.assertEqual((network["free_count"], network["reserved_count"]), (12, 4))
        self.assertEqual(
            network["external_reservations"], "10.91.0.0, 10.91.0.1, 10.91.0.3, 10.91.0.15"
        )
        self.assertEqual(network["group_list"], [[self.group, "bridged", self.link, ""]])
        self.assertEqual((network["network6"], network["gateway6"]), ("2001:db8::/64", None))
        self.assertEqual((network["tags"], network["inst_list"]), (["public"], []))
        self.assertIsNone(network["mac_prefix"])
        self.assertIn(network["uuid"], [one["uuid"] for one in await self.rapi.networks()])

    async def test_order_of_building_and_tearing_down(self):
        """Connected networks are not removed; twice connected or disconnected is no error."""
        name = await self.network()
        job = await self.settle(await self.connection(name))
        self.assertEqual(job.status, "success")
        self.assertIn("already mapped", str(job.oplog))
        removal = self.rapi.delete_network(name, REASON)
        self.assertEqual(await self.fail_with(removal), ("OpPrereqError", "wrong_state"))
        for expected in ("", "is not mapped"):
            job = await self.settle(await self.rapi.disconnect_network(name, self.group, REASON))
            self.assertEqual(job.status, "success")
            self.assertIn(expected, str(job.oplog))
        self.assertIsNone(await self.succeed(self.rapi.delete_network(name, REASON)))
        self.networks.clear()
        removal = self.rapi.delete_network(name, REASON)
        self.assertEqual(await self.fail_with(removal), ("OpPrereqError", "unknown_entity"))

    async def test_wrong_networks(self):
        """Names in use, bad prefixes and unknown groups fail in the job."""
        name = await self.network()
        body = requests.network_body(name, cidr="10.92.0.0/28")
        self.assertEqual(
            await self.fail_with(self.rapi.create_network(body, REASON)),
            ("OpPrereqError", "already_exists"),
        )
        body = requests.network_body(self.name("other"), cidr="10.92.0.0/28", mac_prefix="zz")
        self.assertEqual(
            await self.fail_with(self.rapi.create_network(body, REASON)),
            ("OpPrereqError", "wrong_input"),
        )
        for wrong in (self.connection(name, "nogroup"), self.connection("nosuch")):
            self.assertEqual(await self.fail_with(wrong), ("OpPrereqError", "unknown_entity"))

    async def test_nics_of_a_creation(self):
        """A NIC gets the address asked for, one of the pool, or none; MACs take the prefix."""
        name = await self.network(mac_prefix="aa:bb:cc")
        nics = [
            NicSpec("one", name, "10.91.0.5"),
            NicSpec("two", name, "pool"),
            NicSpec("three", name),
        ]
        instance = await self.created(nics=nics)
        self.assertEqual(instance["nic.ips"], ["10.91.0.5", "10.91.0.2", None])
        self.assertEqual(instance["nic.names"], ["one", "two", "three"])
        self.assertEqual([mac[:8] for mac in instance["nic.macs"]], ["aa:bb:cc"] * 3)
        self.assertEqual(len(set(instance["nic.macs"])), 3)
        self.assertEqual(instance["nic.networks.names"], [name] * 3)
        self.assertEqual(instance["nic.links"], [self.link] * 3)
        network = await self.rapi.network(name)
        self.assertEqual(network["map"], "XXX..X.........X")
        self.assertEqual(network["inst_list"], [self.name("vm")])
        self.assertEqual([network["uuid"]] * 3, instance["nic.networks"])
        leaving = self.rapi.disconnect_network(name, self.group, REASON)
        self.assertEqual(await self.fail_with(leaving), ("OpPrereqError", "wrong_state"))

    async def test_addresses_refused(self):
        """Taken and foreign addresses are refused; reserved ones only when conflicts count."""
        name = await self.network(add_reserved_ips=["10.91.0.3"])
        await self.created(nics=[NicSpec("a", name, "10.91.0.4")])
        for ip in ("10.91.0.4", "10.99.0.4"):
            refused = self.creation("other", nics=[NicSpec("a", name, ip)])
            expected = ("OpPrereqError", "resource_not_unique")
            self.assertEqual(await self.fail_with(refused), expected)
        reserved = requests.create_body(self.spec("other", nics=[NicSpec("a", name, "10.91.0.3")]))
        strict = self.rapi.create_instance(reserved | {"conflicts_check": True}, REASON)
        self.assertEqual(await self.fail_with(strict), ("OpPrereqError", "resource_not_unique"))
        await self.succeed(self.rapi.create_instance(reserved, REASON))
        other = await self.rapi.instance(self.name("other"))
        self.assertEqual(other["nic.ips"], ["10.91.0.3"])

    async def test_network_of_no_group(self):
        """An instance on a network that is connected nowhere finds no node."""
        name = await self.network(connected=False)
        refused = self.creation(nics=[NicSpec("a", name, "pool")])
        self.assertEqual(await self.fail_with(refused), ("OpPrereqError", "insufficient_resources"))
