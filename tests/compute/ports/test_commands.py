"""Listing and inspecting ports and subnets, and the history of addresses."""

from __future__ import annotations

import psycopg2
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.caller import OPERATOR
from synnefo_tx.compute.networks.operations import Networks
from synnefo_tx.compute.pools.rules import map_lines
from synnefo_tx.compute.ports.model import WantedPort
from synnefo_tx.faults import OverLimit
from synnefo_tx.ganeti.memory.faults import CallFault, Fault
from tests.support.cloud import CloudCommandTestCase


class PortCase(CloudCommandTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        networks: Networks = self.app.compute.networks
        self.lan = (await networks.create_private(self.user, "lan", "MAC_FILTERED", None)).id
        await networks.add_subnet(self.user, self.lan, "10.1.0.0/24", dhcp=False)
        self.made = await self.built(networks=(WantedPort(self.lan, "10.1.0.9"),))


class PortTests(PortCase):
    async def test_listed(self) -> None:
        """Ports are listed with MAC, address and server; by server, network kind and user."""
        rows = await self.records("port-list")
        self.assertEqual(
            [(row["network"], row["fixed_ips"], row["state"]) for row in rows],
            [(str(self.public), "203.0.113.2", "ACTIVE"), (str(self.lan), "10.1.0.9", "ACTIVE")],
        )
        self.assertEqual({row["server_id"] for row in rows}, {str(self.made)})
        self.assertEqual({row["user.uuid"] for row in rows}, {self.user.user})
        other = await self.built(await self.make_caller("other@example.org"))
        first, second, third = (row["id"] for row in await self.records("port-list", "-o", "id"))
        for options, expected in (
            (("--public",), [first, third]),
            (("--server", f"snf-{other}"), [third]),
            (("--server", "99"), []),
            (("-u", "user@example.org"), [first, second]),
            (("--filter-by", "network__type=MAC_FILTERED"), [second]),
            (("--filter-by", "user.email=other@example.org"), [third]),
        ):
            found = await self.records("port-list", "-o", "id", *options)
            self.assertEqual([row["id"] for row in found], expected, options)
        (row,) = await self.records("port-list", "--server", str(other), "--display-mails")
        self.assertEqual(row["user.email"], "other@example.org")
        self.assertIn("is no server", await self.refusal("port-list", "--server", "x"))

    async def test_inspected(self) -> None:
        """A port is shown as it is stored and as its cluster shows it, with its server's jobs."""
        port = (await self.records("port-list"))[1]
        argv = ("port-inspect", f"snf-nic-{port['id']}", "--jobs", "--display-mails")
        document = await self.records(*argv)
        self.assertEqual(list(document), ["Port", "IPs", "Ganeti NIC", "Ganeti jobs"])
        self.assertEqual(document["Port"][0]["email"], "user@example.org")
        self.assertEqual(document["IPs"][0]["address"], "10.1.0.9")
        (nic,) = document["Ganeti NIC"]
        self.assertEqual(
            (nic["ip"], nic["mac"], nic["network"]),
            ("10.1.0.9", port["mac_address"], f"snf-net-{self.lan}"),
        )
        self.ganeti["alpha"].faults.add(Fault(CallFault.REQUEST_LOST))
        ran = await self.command("port-inspect", port["id"])
        self.assertEqual(ran.status, 1)
        self.assertIn("10.1.0.9", ran.out)
        self.assertIn("does not show", ran.err)

    async def test_wrong(self) -> None:
        """A port that is not there and what is no port are one line."""
        self.assertIn("not found", await self.refusal("port-inspect", "99"))
        self.assertIn("is no port", await self.refusal("port-inspect", "snf-9"))


class SubnetTests(PortCase):
    async def test_listed(self) -> None:
        """Subnets are listed with their network; of a version, with DHCP, public or deleted."""
        rows = await self.records("subnet-list")
        self.assertEqual(
            [(row["network"], row["cidr"], row["gateway"], row["ipversion"]) for row in rows],
            [(str(self.public), self.public_cidr, "203.0.113.1", "4"),
             (str(self.lan), "10.1.0.0/24", "10.1.0.1", "4")],
        )  # fmt: skip
        public, lan = (row["id"] for row in rows)
        for options, expected in (
            (("--public",), [public]),
            (("--dhcp",), [public]),
            (("--ipv4",), [public, lan]),
            (("--ipv6",), []),
            (("--deleted",), []),
            (("-u", self.user.user), [lan]),
            (("--filter-by", "dhcp=no"), [lan]),
        ):
            found = await self.records("subnet-list", "-o", "id", *options)
            self.assertEqual([row["id"] for row in found], expected, options)
        await self.app.compute.actions.delete(OPERATOR, self.made)
        await self.settle()
        await self.app.compute.networks.delete(OPERATOR, self.lan)
        await self.settle()
        self.assertEqual(await self.records("subnet-list", "-d", "-o", "id"), [{"id": lan}])
        document = await self.records("subnet-inspect", lan)
        self.assertEqual(document["Pools"], [])

    async def test_inspected(self) -> None:
        """A subnet is shown with its pools and which of their addresses are used."""
        subnet = (await self.records("subnet-list"))[1]["id"]
        document = await self.records("subnet-inspect", subnet)
        (pool,) = document["Pools"]
        self.assertEqual(
            (pool["first"], pool["last"], pool["available"]), ("10.1.0.2", "10.1.0.254", "252")
        )
        available, reserved = (
            "".join(row["map"] for row in document[f"{title}, pool {pool['pool']}"])
            for title in ("Available", "Reserved")
        )
        self.assertEqual((available.index("X"), available.count("X")), (7, 1))
        self.assertEqual((len(available), reserved), (253, "." * 253))
        for text, said in (("99", "not found"), ("x", "is no subnet"), ("²", "is no subnet")):
            self.assertIn(said, await self.refusal("subnet-inspect", text))


class MapTests(SynchronousTestCase):
    @given(st.integers(1, 300), st.frozensets(st.integers(0, 299)), st.integers(1, 80))
    def test_drawn(self, size: int, marked: frozenset[int], per_line: int) -> None:
        """Each item has one place, and lines are full but for the last."""
        lines = map_lines(size, marked, per_line)
        drawn = "".join(lines)
        self.assertEqual({at for at in range(size) if drawn[at] == "X"}, marked & set(range(size)))
        self.assertEqual(
            (len(drawn), {len(line) for line in lines[:-1]} <= {per_line}), (size, True)
        )


class HistoryTests(PortCase):
    async def listed(self, *options: str) -> list[tuple[str, ...]]:
        rows = await self.records("ip-list", "-o", "address,server,action,reason", *options)
        return [tuple(row.values()) for row in rows]

    async def test_history(self) -> None:
        """Each public address given and given back is kept, with whose it was, also when the
        server is gone; private ones are not."""
        given = ("203.0.113.2", str(self.made), "associate", "server created")
        self.assertEqual(await self.listed(), [given])
        await self.app.compute.actions.delete(OPERATOR, self.made)
        await self.settle()
        back = ("203.0.113.2", str(self.made), "disassociate", "server removed")
        self.assertEqual(await self.listed(), [given, back])
        other = await self.built(await self.make_caller("other@example.org"))
        for options, expected in (
            (("--server", f"snf-{other}"), 1),
            (("--address", "203.0.113.2"), 2),
            (("--address", "10.1.0.9"), 0),
            (("--user", "other@example.org"), 1),
            (("--filter-by", "action=disassociate"), 1),
        ):
            self.assertEqual(len(await self.listed(*options)), expected, options)
        row = (await self.records("ip-list", "--display-mails"))[0]
        self.assertEqual((row["user"], row["user.email"]), (self.user.user, "user@example.org"))
        self.assertIn("is no address", await self.refusal("ip-list", "--address", "x"))

    async def test_refused_create(self) -> None:
        """A create that is refused leaves nothing in the history."""
        await self.set_limit(self.user, "cyclades.vm", 1)
        with self.assertRaises(OverLimit):
            await self.create()
        self.assertEqual(len(await self.listed()), 1)

    async def test_only_added_to(self) -> None:
        """Nobody changes what happened, whatever program it is."""
        for sql in ("UPDATE address_history SET userid = userid", "DELETE FROM address_history"):
            with self.assertRaisesRegex(psycopg2.errors.RaiseException, "only ever added to"):
                async with self.database.transaction("test") as tx:
                    await tx.run(sql)
        self.assertEqual(len(await self.listed()), 1)
