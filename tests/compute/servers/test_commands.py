"""Listing, showing and inspecting servers by command."""

from __future__ import annotations

import json

from synnefo_tx.caller import OPERATOR
from synnefo_tx.ganeti.memory.faults import CallFault, Fault, JobFault
from tests.support.cloud import IMAGE, CloudCommandTestCase


class ListTests(CloudCommandTestCase):
    cluster_names = ("alpha", "beta")

    async def ids(self, *options: str) -> list[str]:
        return [row["id"] for row in await self.records("server-list", "-o", "id", *options)]

    async def test_row(self) -> None:
        """A server is listed with its state, sizes, image, cluster and address."""
        id = await self.create(name="a\x1b[2Jb")
        row = (await self.records("server-list", "--image-name", "--display-mails"))[0]
        self.assertEqual(
            {key: value for key, value in row.items() if key != "backend"},
            {"id": str(id), "name": "a\x1b[2Jb", "user.uuid": self.user.user,
             "state": "BUILD(0%)", "flavor": "C1R512D5file", "image.id": IMAGE,
             "image.name": "Debian", "user.email": "user@example.org"},
        )  # fmt: skip
        self.assertIn("a\\x1b[2Jb", (await self.command("server-list")).out)
        await self.settle()
        fields = "state,ipv4,created,updated,deleted,suspended,project,task"
        row = (await self.records("server-list", "-o", fields))[0]
        self.assertEqual((row["state"], row["ipv4"]), ("STARTED", "203.0.113.2"))
        self.assertEqual((row["project"], row["task"]), (self.user.default_project, ""))
        ran = await self.command("server-list")
        self.assertEqual(
            ran.lines[0].split(),
            ["id", "name", "user.uuid", "state", "flavor", "image.id", "backend"],
        )

    async def test_choices(self) -> None:
        """Servers of a user, project, cluster or state, suspended and deleted ones, are listed."""
        other = await self.make_caller("other@example.org")
        mine, theirs, gone = await self.built(), await self.built(other), await self.built()
        await self.app.compute.actions.delete(OPERATOR, gone)
        await self.settle()
        building = await self.create()
        async with self.database.transaction("test") as tx:
            await tx.run("UPDATE servers SET suspended = true WHERE id = %(id)s", {"id": theirs})
        backend = (await self.server(mine)).backend
        of_backend = [
            id for id in (mine, theirs, building) if (await self.server(id)).backend == backend
        ]
        for options, expected in (
            ((), [mine, theirs, building]),
            (("--user", "other@example.org"), [theirs]),
            (("--user", self.user.user), [mine, building]),
            (("--project", other.default_project), [theirs]),
            (("--deleted",), [gone]),
            (("--suspended",), [theirs]),
            (("--build",), [building]),
            (("--backend-id", str(backend)), of_backend),
            (("--backend-id", "77"), []),
            (("--filter-by", "state=BUILD"), [building]),
            (("--filter-by", f"id>={theirs},state!=BUILD"), [theirs]),
            (("--filter-by", "user.email=other@example.org"), [theirs]),
            (("--filter-by", "flavor__ram_mib>512"), []),
            (("--filter-by", f"flavor__cpu<=1,userid={other.user}"), [theirs]),
            (("--filter-by", "volume_type__disk_template!=file"), []),
        ):
            self.assertEqual(await self.ids(*options), [str(id) for id in expected], options)
        self.assertIn("no user", await self.refusal("server-list", "--user", "x@example.org"))


class ShowTests(CloudCommandTestCase):
    async def test_shown(self) -> None:
        """A server is shown by number or Ganeti name, with the job of what is being done."""
        id = await self.create()
        row = (await self.records("server-show", f"snf-{id}"))[0]
        self.assertEqual(
            {key: row[key] for key in ("id", "owner_name", "state", "task", "flavor", "image")},
            {"id": str(id), "owner_name": "user@example.org", "state": "BUILD",
             "task": "BUILDING", "flavor": "C1R512D5file", "image": IMAGE},
        )  # fmt: skip
        self.assertTrue(row["task_job_id"].isdigit(), row)
        await self.settle()
        row = (await self.records("server-show", str(id)))[0]
        self.assertEqual((row["state"], row["task"], row["task_job_id"]), ("STARTED", "", ""))
        await self.app.compute.actions.delete(OPERATOR, id)
        await self.settle()
        self.assertEqual((await self.records("server-show", str(id)))[0]["deleted"], "True")

    async def test_unknown(self) -> None:
        """A server that never was, and what is no number, are one line."""
        self.assertIn("not found", await self.refusal("server-show", "99"))
        for text in ("x", "snf-net-1", "1" * 30, "-1", "²"):
            self.assertIn("is no server", await self.refusal("server-show", "--", text))


class InspectTests(CloudCommandTestCase):
    async def test_inspected(self) -> None:
        """What is stored, the cluster's own view and the jobs are shown; no secret is."""
        password = "Correct1Horse"
        id = await self.built(admin_password=password)
        document = await self.records("server-inspect", str(id), "--jobs")
        self.assertEqual(
            list(document),
            ["Server", "Ports", "Volumes", "Diagnostics", "Ganeti instance", "Ganeti tags",
             "Ganeti hvparams", "Ganeti NICs", "Ganeti disks", "Ganeti jobs"],
        )  # fmt: skip
        server, port = document["Server"][0], document["Ports"][0]
        volume, nic = document["Volumes"][0], document["Ganeti NICs"][0]
        self.assertEqual(server["backend"], "alpha")
        self.assertEqual(server["backendopcode"], "OP_INSTANCE_CREATE")
        self.assertEqual(server["backendjobstatus"], "success")
        self.assertEqual((port["IPv4"], port["State"]), ("203.0.113.2", "ACTIVE"))
        self.assertEqual(
            (nic["ip"], nic["mac"], nic["network"]),
            (port["IPv4"], port["MAC"], f"snf-net-{self.public}"),
        )
        self.assertEqual((volume["Size"], volume["Template"]), ("5", "file"))
        self.assertEqual(
            document["Ganeti disks"], [{"name": f"snf-vol-{volume['ID']}", "size": "5120"}]
        )
        instance, job = document["Ganeti instance"][0], document["Ganeti jobs"][0]
        self.assertEqual((instance["name"], instance["status"]), (f"snf-{id}", "running"))
        self.assertEqual((job["id"], job["status"]), (server["backendjobid"], "success"))
        self.assertEqual(job["summary"], "OP_INSTANCE_CREATE")
        self.assertNotIn(password, json.dumps(document))

    async def test_failed(self) -> None:
        """A server that could not be built: why, and that the cluster does not have it."""
        self.ganeti["alpha"].faults.add(Fault(JobFault.FAILS, opcode="OP_INSTANCE_CREATE"))
        id = await self.create()
        await self.settle()
        ran = await self.command("server-inspect", str(id), "--output-format", "json")
        self.assertEqual((ran.status, ran.err), (0, "alpha has no such instance\n"))
        document = json.loads(ran.out)
        self.assertIn("could not be built", document["Diagnostics"][0]["Message"])
        self.assertNotIn("Ganeti instance", document)

    async def test_silent_cluster(self) -> None:
        """What is stored is shown also when the cluster does not answer; the status is 1."""
        id = await self.built()
        self.ganeti["alpha"].faults.add(Fault(CallFault.REQUEST_LOST))
        ran = await self.command("server-inspect", str(id), "--output-format", "json")
        self.assertEqual(ran.status, 1)
        self.assertIn("alpha does not show the instance", ran.err)
        self.assertEqual(json.loads(ran.out)["Server"][0]["state"], "STARTED")
