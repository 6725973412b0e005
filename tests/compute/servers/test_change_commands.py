"""Making, changing and removing servers by command."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.caller import OPERATOR
from synnefo_tx.cli.waiting import progress
from synnefo_tx.compute.ports.model import WantedPort
from synnefo_tx.compute.servers.change_commands import wanted_port
from synnefo_tx.faults import BadRequest, Forbidden
from synnefo_tx.ganeti.memory.faults import Fault, JobFault
from synnefo_tx.settings import Ganeti, Settings
from tests.support.cloud import IMAGE, CloudCommandTestCase

PASSWORD = "Correct1Horse"
QUICK = Settings(ganeti=evolve(Ganeti(), open_poll_seconds=0.05))


class PortTests(SynchronousTestCase):
    @given(st.integers(1, 10**9), st.sampled_from(["", ",address=", ",address:"]))
    def test_spellings(self, network: int, spelling: str) -> None:
        """An address is given with an equals sign, or with a colon as the original took it."""
        address = "10.0.0.7" if spelling else ""
        for name in (str(network), f"snf-net-{network}"):
            port = wanted_port(f"network:{name}{spelling}{address}", "snf-")
            self.assertEqual(port, WantedPort(network, address or None))

    def test_wrong(self) -> None:
        """What is no port, or one of a kind that is not there, is refused with what to write."""
        for text in (
            "", "7", "network:", "network:x", "network:1,", "network:1,address=",
            "network:1,1.2.3.4",
            "network:1,address=1.2.3.4,x", "id:3", "floatingip:3", "address:1.2.3.4",
        ):  # fmt: skip
            with self.assertRaises(BadRequest):
                wanted_port(text, "snf-")


class ChangeCase(CloudCommandTestCase):
    settings = QUICK

    async def statuses(self, *argv: str) -> tuple[int, str]:
        ran = await self.command(*argv)
        self.assertNotIn("unexpected", ran.err)
        return ran.status, ran.err


class CreateTests(ChangeCase):
    cluster_names = ("alpha", "beta")

    def argv(self, *more: str) -> tuple[str, ...]:
        return (
            "server-create", "--name", "web", "--user", self.user.email, "--image", IMAGE,
            "--flavor", str(self.flavor), "--password", PASSWORD, *more,
        )  # fmt: skip

    async def test_created(self) -> None:
        """A server is built and charged to its user as if they did it; its password reaches the
        installer and nothing else."""
        ran = await self.command(*self.argv("--wait", "True", "--output-format", "csv"))
        self.assertEqual(ran.status, 0, ran.err)
        self.assertRegex(ran.err, r"OP_INSTANCE_CREATE of snf-\d+ \(job \d+\) succeeded")
        row = dict(zip(*(line.split(",") for line in ran.lines), strict=True))
        self.assertEqual((row["name"], row["state"], row["task"]), ("web", "STARTED", ""))
        self.assertEqual((row["owner_uuid"], row["project"]), (self.user.user, self.user.user))
        self.assertEqual((await self.usage())["cyclades.vm"], 1)
        self.assertIn(PASSWORD.encode(), self.fetched[0])
        self.assertNotIn(PASSWORD, ran.out + ran.err)
        await self.assert_exact()

    async def test_not_waited(self) -> None:
        """Without --wait the command ends when the server is on its way."""
        (row,) = await self.records(*self.argv())
        self.assertEqual((row["state"], row["task"]), ("BUILD", "BUILDING"))
        await self.settle()
        self.assertEqual(await self.operstate(int(row["id"])), "STARTED")

    async def test_ports(self) -> None:
        """It is put on networks of the user's with the address that is wanted."""
        networks = self.app.compute.networks
        made = await networks.create_private(self.user, "lan", "MAC_FILTERED", None)
        await networks.add_subnet(self.user, made.id, "10.1.0.0/24")
        ports = ("--port", f"network:{made.id},address=10.1.0.9")
        (row,) = await self.records(*self.argv(*ports))
        listed = await self.records("server-list", "-o", "ipv4")
        self.assertEqual(listed[0]["ipv4"], "203.0.113.2, 10.1.0.9")
        self.assertIn("in use", await self.refusal(*self.argv(*ports)))
        self.assertIn(
            "floating", await self.refusal(*self.argv("--port", f"network:{self.public}"))
        )
        self.assertEqual(len(await self.records("server-list")), 1, row)

    async def test_backend(self) -> None:
        """The operator names a cluster, also a drained one; not one that is offline or full."""
        beta = self.backends["beta"]
        await self.app.ganeti.backends.modify(beta, {"drained": True})
        (row,) = await self.records(*self.argv("--backend-id", str(beta), "--wait", "yes"))
        self.assertEqual((await self.server(int(row["id"]))).backend, beta)
        self.assertIn(f"snf-{row['id']}", self.instances("beta"))
        await self.app.ganeti.backends.modify(beta, {"offline": True})
        self.assertIn("room", await self.refusal(*self.argv("--backend-id", str(beta))))
        self.assertIn("not found", await self.refusal(*self.argv("--backend-id", "99")))
        await self.assert_exact()

    async def test_refused(self) -> None:
        """Quota, wrong input and what is not there are one line; nothing is made."""
        for more, said in (
            (("--user", "x@example.org"), "no user"),
            (("--project", "x"), "not a member"),
            (("--flavor", "99"), "lavor"),
            (("--image", "x"), "mage"),
            (("--password", "short"), "adminPass"),
            (("--name", ""), "name"),
            (("--port", "id:3"), "no such ports"),
        ):
            self.assertIn(said, await self.refusal(*self.argv(*more)), more)
        await self.set_limit(self.user, "cyclades.vm", 0)
        self.assertIn("limit", (await self.refusal(*self.argv())).lower())
        self.assertEqual(await self.records("server-list"), [])
        self.assertEqual(await self.usage(), {})
        for option in (("--volume", "size=5"), ("--tags", "a"), ("--helper",)):
            with redirect_stderr(io.StringIO()) as told, self.assertRaises(SystemExit):
                await self.command(*self.argv(*option))
            self.assertIn(f"{option[0]}: ", told.getvalue())

    async def test_failed(self) -> None:
        """A build that fails is told, with the server as it is then."""
        for name in self.cluster_names:
            self.ganeti[name].faults.add(Fault(JobFault.FAILS, opcode="OP_INSTANCE_CREATE"))
        ran = await self.command(*self.argv("--wait", "True"))
        self.assertEqual(ran.status, 1)
        self.assertIn("ended with error", ran.err.splitlines()[-1])
        self.assertIn("ERROR", ran.out)


class RemoveTests(ChangeCase):
    async def test_removed(self) -> None:
        """Servers go by number or name, errors are told for each, and a second run says so."""
        first, second = await self.built(), await self.built()
        await self.app.compute.actions.suspend(OPERATOR, second, True)
        status, said = await self.statuses(
            "server-remove", "-f", str(first), "99", "x", f"snf-{second}", str(first)
        )
        self.assertEqual(status, 1)
        self.assertEqual(said.count("succeeded"), 2)
        for line in ("99: Server not found", "x: 'x' is no server", "failed for 99, x"):
            self.assertIn(line, said)
        self.assertEqual(self.instances(), {})
        self.assertEqual(await self.usage(), {})
        self.assertIn("deleted", (await self.statuses("server-remove", "-f", str(first)))[1])

    async def test_asked(self) -> None:
        """Without a yes, or nobody to say it, nothing is removed."""
        id = await self.built()
        with redirect_stderr(io.StringIO()) as asked:
            for typed, interactive in (("n\n", True), ("y\n", False)):
                argv = ("server-remove", str(id))
                said = await self.refusal(*argv, typed=typed, interactive=interactive)
                self.assertIn("Nothing was done", said)
        self.assertIn(f"Remove servers {id}: are you sure? [Y/N]", asked.getvalue())
        self.assertEqual(await self.operstate(id), "STARTED")

    async def test_failed(self) -> None:
        """A removal that the cluster fails is told; the server stays."""
        id = await self.built()
        self.ganeti["alpha"].faults.add(Fault(JobFault.FAILS, opcode="OP_INSTANCE_REMOVE"))
        status, said = await self.statuses("server-remove", "-f", str(id))
        self.assertEqual(status, 1)
        self.assertIn(f"{id}: OP_INSTANCE_REMOVE of snf-{id}", said)
        self.assertEqual(await self.operstate(id), "STARTED")
        await self.assert_exact()


class ModifyTests(ChangeCase):
    async def test_actions(self) -> None:
        """Stop, another flavor, start and both reboots, each waited for, charged as it should."""
        id = await self.built()
        for options, state in (
            (("--action", "stop"), "STOPPED"),
            (("--flavor", str(self.flavors[-1]), "--action", "start"), "STARTED"),
            (("--action", "reboot_soft"), "STARTED"),
            (("--action", "reboot_hard"), "STARTED"),
        ):
            status, said = await self.statuses("server-modify", f"snf-{id}", *options)
            self.assertEqual((status, await self.operstate(id)), (0, state), said)
            self.assertIn("succeeded", said)
            await self.assert_exact()
        self.assertEqual((await self.server(id)).flavor, self.flavors[-1])
        self.assertIn(
            "Can not start", await self.refusal("server-modify", str(id), "--action", "start")
        )

    async def test_suspended(self) -> None:
        """A suspended server is its owner's to look at, and the operator's to change; suspending
        twice is refused, and so is releasing what is not suspended."""
        id = await self.built()
        modify = ("server-modify", str(id))
        self.assertIn("not suspended", await self.refusal(*modify, "--suspended", "False"))
        self.assertEqual((await self.statuses(*modify, "--suspended", "True"))[0], 0)
        self.assertIn("is suspended", await self.refusal(*modify, "--suspended", "True"))
        actions, servers = self.app.compute.actions, self.app.compute.servers
        for attempt in (
            lambda: actions.shutdown(self.user, id),
            lambda: actions.delete(self.user, id),
            lambda: servers.rename(self.user, id, "x"),
            lambda: servers.put_metadata(self.user, id, {"a": "b"}),
            lambda: actions.suspend(self.user, id, False),
        ):
            with self.assertRaises(Forbidden):
                await attempt()
        self.assertTrue((await self.app.compute.servers.show(self.user, id)).server.suspended)
        status, _ = await self.statuses(*modify, "--name", "seized", "--action", "stop")
        self.assertEqual((status, await self.operstate(id)), (0, "STOPPED"))
        self.assertEqual((await self.statuses(*modify, "--suspended", "False"))[0], 0)
        await actions.start(self.user, id)
        await self.settle()
        await actions.delete(OPERATOR, id)
        await self.settle()
        self.assertIn("deleted", await self.refusal(*modify, "--suspended", "True"))

    async def test_wrong(self) -> None:
        """Nothing asked for, no such server and what is not there are told, and change nothing."""
        id = await self.built(name="kept")
        self.assertIn("No change", await self.refusal("server-modify", str(id)))
        self.assertIn("not found", await self.refusal("server-modify", "99", "--name", "x"))
        self.assertIn("name", await self.refusal("server-modify", str(id), "--name", ""))
        for option, said in (
            (("--user", "x"), "--user: servers stay"),
            (("--tag-delete-all",), "no tags"),
            (("--action", "rescue"), "no rescue"),
            (("--action", "dance"), "none of start, stop"),
        ):
            with redirect_stderr(io.StringIO()) as told, self.assertRaises(SystemExit):
                await self.command("server-modify", str(id), *option)
            self.assertIn(said, told.getvalue())
        self.assertEqual((await self.server(id)).name, "kept")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ProgressTests(CloudCommandTestCase):
    async def test_shown(self) -> None:
        """What is waited for is shown on a terminal, users' texts cannot colour it, and elsewhere
        nothing is shown."""
        id = await self.create()
        (intent,) = (await self.app.compute.inspection.stored(id)).intents
        for stream, expected in ((Terminal(), True), (io.StringIO(), False)):
            with progress(stream) as tell:
                tell(intent, "")
                tell(intent, "no \x1b[31manswer")
            shown = stream.getvalue()
            self.assertEqual(f"snf-{id}" in shown, expected)
            self.assertNotIn("\x1b[31manswer", shown)
        await self.settle()
