"""Changing clusters, and reading their figures, by command."""

from __future__ import annotations

from synnefo_tx.ganeti.memory.faults import CallFault, Fault
from tests.support.cloud import CloudCommandTestCase

FIELDS = "id,host,port,username,drained,offline,public,hypervisor,fingerprint"
PIN = "SHA256:" + ":".join(["AB"] * 32)


class ModifyTests(CloudCommandTestCase):
    async def row(self) -> dict[str, str]:
        return (await self.records("backend-list", "-o", FIELDS))[0]

    async def test_flags(self) -> None:
        """Flags and hypervisor are set without a call to the cluster."""
        self.ganeti["alpha"].faults.add(Fault(CallFault.REQUEST_LOST, times=9))
        flags = ("--drained", "True", "--public", "F", "--hypervisor", "xen-pvm")
        self.assertEqual((await self.command("backend-modify", "1", *flags)).status, 0)
        row = await self.row()
        self.assertEqual(
            (row["drained"], row["public"], row["hypervisor"]), ("True", "False", "xen-pvm")
        )
        self.assertEqual(len(self.ganeti["alpha"].faults.pending), 9)

    async def test_checked(self) -> None:
        """What leads to the cluster is tried before it is stored; a wrong one changes nothing."""
        for options, text in (
            (("--password", "wrong"), "alpha refused"),
            (("--username", "nobody"), "alpha refused"),
            (("--port", "0"), "port must be"),
            (("--fingerprint", "x"), "a fingerprint is"),
            ((), "No change is asked for"),
        ):
            self.assertIn(text, await self.refusal("backend-modify", "1", *options))
        self.assertIn("not found", await self.refusal("backend-modify", "7", "--drained", "T"))
        ran = await self.command("backend-modify", "1", "--fingerprint", PIN, "--host", "10.0.0.1")
        self.assertEqual(ran.status, 0, ran.err)
        row = await self.row()
        self.assertEqual((row["host"], row["fingerprint"], row["username"]),
                         ("10.0.0.1", PIN, "synnefo"))  # fmt: skip

    async def test_offline(self) -> None:
        """An offline cluster takes a new password untried, and may not answer; online again, the
        password is the one that is used."""
        self.ganeti["alpha"].password = "secret"
        argv = ("backend-modify", "1", "--offline", "True", "--password", "-")
        self.assertEqual((await self.command(*argv, typed="wrong\n")).status, 0)
        backends = self.app.ganeti.backends
        self.assertEqual(await backends.refresh_all(), {})
        self.assertEqual((await self.command("backend-modify", "1", "--offline", "F")).status, 0)
        self.assertEqual(list(await backends.refresh_all()), ["alpha"])


class UpdateStatusTests(CloudCommandTestCase):
    cluster_names = ("alpha", "beta")

    async def test_read(self) -> None:
        """Figures of all clusters are read; one that fails is named and the status is 1."""
        for name in self.cluster_names:
            self.ganeti[name].set_node(self.node.name, memory_mib=1000)
        self.ganeti["alpha"].faults.add(Fault(CallFault.REQUEST_LOST))
        ran = await self.command("backend-update-status")
        self.assertEqual(ran.status, 1)
        self.assertTrue(ran.err.startswith("alpha: "), ran.err)
        self.assertIn("clusters that were not read: alpha", ran.err)
        rows = await self.records("backend-list", "-o", "mem")
        self.assertEqual([row["mem"].split("/")[1] for row in rows], ["65536 MiB", "1000 MiB"])
        self.assertEqual((await self.command("backend-update-status")).status, 0)
        rows = await self.records("backend-list", "-o", "mem")
        self.assertEqual([row["mem"].split("/")[1] for row in rows], ["1000 MiB"] * 2)
