"""Taking on, listing and changing clusters by command."""

from __future__ import annotations

import datetime
import random
from pathlib import Path

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.ssl import PrivateCertificate

from synnefo_tx.ganeti.memory import ClusterConfig, MemoryGaneti
from synnefo_tx.ganeti.memory.certificate import self_signed
from synnefo_tx.ganeti.memory.faults import CallFault, Fault
from synnefo_tx.ganeti.tls import certificate_fingerprint, tls_agent
from tests.support.cloud import JOB_SECONDS, CloudCommandTestCase

PIN = "SHA256:" + ":".join(["AB"] * 32)


class BackendCommandTestCase(CloudCommandTestCase):
    async def setUp(self) -> None:
        self.tls_ports: set[int] = set()
        await super().setUp()
        self.make_cluster("beta")

    def edges(self):
        def agent_for(endpoint):
            if endpoint.port in self.tls_ports:
                return tls_agent(reactor, endpoint, 5.0)
            return self.ganeti[endpoint.name].agent()

        return evolve(super().edges(), agent_for=agent_for)

    def make_cluster(self, name: str, known_as: str = "") -> MemoryGaneti:
        config = ClusterConfig(name=name, nodes=(self.node,), job_seconds=JOB_SECONDS)
        made = MemoryGaneti(reactor, random.Random(7), config=config)
        self.addCleanup(made.stop)
        self.ganeti[known_as or name] = made
        return made

    def add_argv(self, *options: str, name: str = "beta", password: str = "synnefo") -> list[str]:
        credentials = ("--user", "synnefo", "--pass", password)
        return ["backend-add", "--clustername", name, *credentials, *options]

    async def listed(self) -> dict[str, dict[str, str]]:
        fields = "id,clustername,host,port,drained,offline,public,vms,ips,disk_templates,mem,disk"
        rows = await self.records("backend-list", "-o", f"{fields},fingerprint,username")
        return {row["clustername"]: row for row in rows}


class AddTests(BackendCommandTestCase):
    async def test_added(self) -> None:
        """A cluster is stored drained, its resources are shown, public networks come there."""
        document = await self.records(*self.add_argv("--fingerprint", PIN.lower()))
        resources = document["Resources"][0]
        self.assertEqual(resources["mtotal"], str(self.node.memory_mib))
        self.assertEqual(
            document["Public networks"],
            [{"network": str(self.public), "name": "Public", "state": "PENDING"}],
        )
        row = (await self.listed())["beta"]
        expected = {
            "host": "beta", "port": "5080", "drained": "True", "offline": "False",
            "public": "True", "vms": "0", "ips": "253/253", "fingerprint": PIN,
            "mem": f"{resources['mfree']}/{self.node.memory_mib} MiB",
            "disk_templates": "diskless, ext, file, sharedfile",
        }  # fmt: skip
        self.assertEqual({key: row[key] for key in expected}, expected)
        self.backends = {"beta": int(row["id"])}
        await self.settle()
        network = self.ganeti["beta"].cluster.store.networks[f"snf-net-{self.public}"]
        self.assertEqual(network.name, f"snf-net-{self.public}")
        again = await self.app.compute.network_administration.bring_public([int(row["id"])])
        self.assertEqual([copy.state for _, copy in again], ["ACTIVE"])

    async def test_credentials(self) -> None:
        """Wrong credentials, another name and a silent cluster store nothing; no secret is said."""
        self.make_cluster("gamma", known_as="delta")
        pin = ("--fingerprint", PIN)
        for argv, text in (
            (self.add_argv(*pin, password="hunter2"), "beta refused"),
            (self.add_argv(*pin, name="delta"), "the cluster calls itself gamma, not delta"),
            (self.add_argv("--fingerprint", "12:34"), "a fingerprint is SHA256:"),
            (self.add_argv(*pin, "--port", "70000"), "port must be between"),
            (self.add_argv(*pin, name="alpha"), "there is a backend alpha already"),
        ):
            said = await self.refusal(*argv)
            self.assertIn(text, said)
            self.assertNotIn("hunter2", said)
        self.ganeti["beta"].faults.add(Fault(CallFault.REQUEST_LOST))
        self.assertIn("beta cannot be reached", await self.refusal(*self.add_argv(*pin)))
        self.assertEqual(list(await self.listed()), ["alpha"])

    async def test_nothing_but_the_row(self) -> None:
        """--no-check and --no-init call no cluster; the password may come from input."""
        self.ganeti["beta"].faults.add(Fault(CallFault.REQUEST_LOST, times=9))
        argv = self.add_argv("--fingerprint", PIN, "--no-check", "--no-init", password="-")
        ran = await self.command(*argv, "--public", "F", "--host", "10.0.0.1", typed="synnefo\n")
        self.assertEqual((ran.status, ran.out), (0, ""))
        self.assertEqual(len(self.ganeti["beta"].faults.pending), 9)
        row = (await self.listed())["beta"]
        self.assertEqual((row["mem"], row["public"]), ("0/0 MiB", "False"))
        self.ganeti["beta"].faults.clear()
        self.assertEqual((await self.command("backend-update-status")).status, 0)
        self.assertIn(str(self.node.memory_mib), (await self.listed())["beta"]["mem"])

    async def test_authority(self) -> None:
        """The authority's file is read; one without a certificate, or no file, is refused."""
        argv = self.add_argv("--no-init", "--ca")
        self.assertIn("No such file", await self.refusal(*argv, self.mktemp()))
        self.assertIn("holds no PEM", await self.refusal(*argv, self.write("no certificate")))
        files = self_signed(datetime.datetime.now(datetime.UTC))
        ran = await self.command(*argv, self.write(files.certificate_pem.decode()))
        self.assertEqual(ran.status, 0, ran.err)

    def write(self, text: str) -> str:
        path = Path(self.mktemp())
        path.write_text(text)
        return str(path)


class FingerprintTests(BackendCommandTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        files = self_signed(datetime.datetime.now(datetime.UTC))
        certificate = PrivateCertificate.loadPEM(files.key_pem + files.certificate_pem)
        self.seen = certificate_fingerprint(certificate.original)
        site = self.ganeti["beta"].site
        port = reactor.listenSSL(0, site, certificate.options(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port
        self.tls_ports.add(self.port)
        self.argv = self.add_argv("--host", "127.0.0.1", "--port", str(self.port), "--no-init")

    async def test_asked(self) -> None:
        """On a terminal the certificate is shown, and pinned after a yes; else nothing is done."""
        self.assertIn("Nothing was done", await self.refusal(*self.argv, interactive=True))
        ran = await self.command(*self.argv, typed="y\n", interactive=True)
        self.assertEqual(ran.status, 0, ran.err)
        self.assertEqual((await self.listed())["beta"]["fingerprint"], self.seen)
        await self.app.ganeti.backends.refresh(2)

    async def test_nobody_to_ask(self) -> None:
        """Without a terminal the error shows the certificate and says what to pass."""
        said = await self.refusal(*self.argv, typed="y\n")
        self.assertIn(self.seen, said)
        self.assertIn("--fingerprint", said)
        self.assertNotIn("beta", await self.listed())

    async def test_other_certificate(self) -> None:
        """A cluster with another certificate than the one that is pinned is not stored."""
        said = await self.refusal(*self.argv, "--fingerprint", PIN)
        self.assertIn("certificate verify failed", said)

    async def test_silent(self) -> None:
        """No cluster at the address: one line that says so."""
        argv = self.add_argv("--host", "127.0.0.1", "--port", "1")
        self.assertIn("cannot look at 127.0.0.1:1", await self.refusal(*argv))


class ListTests(BackendCommandTestCase):
    async def test_use(self) -> None:
        """The list counts live servers and public addresses per cluster."""
        await self.built()
        row = (await self.listed())["alpha"]
        self.assertEqual((row["vms"], row["ips"]), ("1", "252/253"))
        ran = await self.command("backend-list")
        self.assertEqual(
            ran.lines[0].split(),
            ["id", "clustername", "port", "username", "drained", "offline", "public", "vms",
             "hypervisor", "ips", "disk_templates"],
        )  # fmt: skip
        self.assertEqual(await self.records("backend-list", "--filter-by", "vms>1"), [])
        self.assertIn(
            "Unknown key", await self.refusal("backend-list", "--filter-by", "password_sealed=x")
        )
