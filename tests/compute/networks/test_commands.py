"""Networks by command."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

from synnefo_tx.compute.ports.model import WantedPort
from synnefo_tx.ganeti.jobs.store import open_intents
from synnefo_tx.ganeti.memory.faults import CallFault, Fault
from tests.support.cloud import CloudCommandTestCase


class NetworkCommandTestCase(CloudCommandTestCase):
    cluster_names = ("alpha", "beta")

    async def network(self, *options: str) -> dict[str, str]:
        document = await self.records("network-create", "--name", "net", *options)
        network = document["Network"] if isinstance(document, dict) else document
        return network[0]

    async def listed(self, id: str | int) -> dict[str, str]:
        fields = (
            "id,name,user.uuid,project,state,public,subnet.ipv4,gateway.ipv4,link,mac_prefix,"
            "drained,floating_ip_pool,vms,backends,mode,deleted"
        )
        rows = await self.records("network-list", "-o", fields, "--filter-by", f"id={id}")
        return rows[0]


class CreateTests(NetworkCommandTestCase):
    async def test_public(self) -> None:
        """A public network with its range is made and brought to every cluster."""
        made = await self.network(
            "--public", "--flavor", "CUSTOM", "--subnet", "198.51.100.0/28", "--gateway",
            "198.51.100.14", "--dhcp", "True", "--link", "br7", "--tags", "a,b",
            "--floating-ip-pool", "True",
        )  # fmt: skip
        await self.settle()
        row = await self.listed(made["id"])
        expected = {
            "user.uuid": "", "project": "", "state": "ACTIVE", "public": "True", "link": "br7",
            "subnet.ipv4": "198.51.100.0/28", "gateway.ipv4": "198.51.100.14", "vms": "0",
            "mac_prefix": "aa:00:0", "floating_ip_pool": "True", "backends": "1, 2",
            "mode": "bridged", "drained": "False",
        }  # fmt: skip
        self.assertEqual({key: row[key] for key in expected}, expected)
        for name in self.cluster_names:
            copy = self.ganeti[name].cluster.store.networks[f"snf-net-{made['id']}"]
            self.assertEqual(set(copy.tags), {"a", "b", "nfdhcpd", "public"})

    async def test_silent_cluster(self) -> None:
        """A cluster that does not answer delays nothing: its jobs stay open for the service."""
        self.ganeti["beta"].faults.add(Fault(CallFault.REQUEST_LOST, times=9))
        made = await self.network("--public", "--flavor", "CUSTOM", "--subnet", "198.51.100.0/28")
        self.assertEqual((await self.listed(made["id"]))["backends"], "1, 2")
        left = await open_intents(self.database, self.backends["beta"])
        self.assertEqual({each.opcode for each in left}, {"OP_NETWORK_ADD", "OP_NETWORK_CONNECT"})
        self.assertEqual([each.outcome for each in left], [None, None])

    async def test_of_user(self) -> None:
        """A network for a user is charged, has its own MAC prefix, and is on no cluster yet."""
        made = await self.network("--user", "user@example.org", "--flavor", "MAC_FILTERED")
        row = await self.listed(made["id"])
        self.assertEqual(
            (row["user.uuid"], row["project"], row["link"], row["mac_prefix"], row["backends"]),
            (self.user.user, self.user.default_project, "prv0", "aa:00:1", ""),
        )
        self.assertEqual(await self.usage(), {"cyclades.network.private": 1})
        await self.set_limit(self.user, "cyclades.network.private", 1)
        argv = ("network-create", "--user", self.user.user, "--flavor", "MAC_FILTERED")
        await self.refusal(*argv)
        await self.assert_exact()

    async def test_wanted_values(self) -> None:
        """A MAC prefix of the pool is taken from it, once; one beyond it is taken as it is."""
        base = ("--user", self.user.user, "--flavor", "MAC_FILTERED", "--mac-prefix")
        self.assertEqual((await self.network(*base, "aa:00:2"))["mac_prefix"], "aa:00:2")
        self.assertIn("taken", await self.refusal("network-create", *base, "aa:00:2"))
        self.assertIn("reserved", await self.refusal("network-create", *base, "aa:00:0"))
        self.assertEqual((await self.network(*base, "ab:00:2"))["mac_prefix"], "ab:00:2")
        others = [await self.network(*base[:-1]) for _ in range(2)]
        self.assertEqual([each["mac_prefix"] for each in others], ["aa:00:1", "aa:00:3"])

    async def test_wrong(self) -> None:
        """What cannot be makes no network and charges nothing."""
        user = ("--user", self.user.user)
        before = await self.records("network-list")
        for options in (
            (*user, "--flavor", "CUSTOM", "--gateway", "10.0.0.1"),
            (*user, "--flavor", "CUSTOM", "--dhcp", "True"),
            (*user, "--flavor", "IP_LESS_ROUTED"),
            (*user, "--flavor", "CUSTOM", "--floating-ip-pool", "True"),
            (*user, "--flavor", "CUSTOM", "--subnet", "10.0.0.1/24"),
            (*user, "--flavor", "CUSTOM", "--subnet", "10.0.0.0/24", "--gateway", "10.0.1.1"),
            (*user, "--flavor", "CUSTOM", "--mac-prefix", "xx:00:0"),
            (*user, "--flavor", "CUSTOM", "--link", "br 0"),
            (*user, "--flavor", "CUSTOM", "--tags", ""),
            (*user, "--flavor", "PHYSICAL_VLAN"),
            ("--public", "--flavor", "CUSTOM", "--project", self.user.default_project),
            ("--user", "nobody@example.org", "--flavor", "CUSTOM"),
            (*user, "--flavor", "CUSTOM", "--project", "d0d0d0d0-0000-4000-8000-000000000000"),
        ):
            await self.refusal("network-create", *options)
        for options in (("--flavor", "CUSTOM"), (*user, "--public", "--flavor", "CUSTOM")):
            with redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
                await self.command("network-create", *options)
        self.assertEqual(await self.records("network-list"), before)
        self.assertEqual(await self.usage(), {})


class ListTests(NetworkCommandTestCase):
    async def test_choices(self) -> None:
        """Public networks, those of a user or a project, and deleted ones are listed alone."""
        mine = (await self.network("--user", self.user.user, "--flavor", "MAC_FILTERED"))["id"]
        gone = (await self.network("--user", self.user.user, "--flavor", "MAC_FILTERED"))["id"]
        self.assertEqual((await self.command("network-remove", "-f", gone)).status, 0)
        for options, expected in (
            ((), [str(self.public), mine]),
            (("--public",), [str(self.public)]),
            (("--user", "user@example.org"), [mine]),
            (("--project", self.user.default_project), [mine]),
            (("--deleted",), [gone]),
        ):
            rows = await self.records("network-list", "-o", "id", *options)
            self.assertEqual([row["id"] for row in rows], expected, options)


class RemoveTests(NetworkCommandTestCase):
    async def test_removed(self) -> None:
        """Networks go from clusters too, by number or name; what servers are on stays, and the
        others go all the same."""
        wide = ("--public", "--flavor", "CUSTOM", "--subnet", "198.51.100.0/28")
        gone, used = (
            (await self.network(*wide))["id"],
            await self.network("--user", self.user.user, "--flavor", "MAC_FILTERED"),
        )
        await self.built(networks=(WantedPort(int(used["id"])),))
        self.assertEqual((await self.listed(used["id"]))["vms"], "1")
        argv = ("network-remove", "-f", used["id"], "99", "x", f"snf-net-{gone}")
        ran = await self.command(*argv)
        self.assertEqual(ran.status, 1)
        lines = ran.err.splitlines()
        for line, start in zip(
            lines, (f"{used['id']}: Machines", "99: Network not", "x: 'x' is no network",
                    f"Network {gone} is removed; its", "snf-manage network-remove: failed for"),
            strict=True,
        ):  # fmt: skip
            self.assertTrue(line.startswith(start), line)
        await self.settle()
        for name in self.cluster_names:
            self.assertNotIn(f"snf-net-{gone}", self.ganeti[name].cluster.store.networks)
        rows = await self.records("network-list", "--deleted", "-o", "id")
        self.assertEqual(rows, [{"id": gone}])

    async def test_asked(self) -> None:
        """Without a yes, or nobody to say it, nothing is removed; --force does not ask."""
        made = (await self.network("--user", self.user.user, "--flavor", "MAC_FILTERED"))["id"]
        with redirect_stderr(io.StringIO()):
            for typed, interactive in (("n\n", True), ("y\n", False)):
                said = await self.refusal(
                    "network-remove", made, typed=typed, interactive=interactive
                )
                self.assertIn("Nothing", said)
            self.assertEqual((await self.listed(made))["deleted"], "False")
            ran = await self.command("network-remove", made, typed="y\n", interactive=True)
        self.assertEqual(ran.status, 0)
        self.assertEqual(await self.usage(), {})
