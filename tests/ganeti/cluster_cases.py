"""What a Ganeti cluster does, as far as this project relies on it: one suite for every cluster.

``ClusterCases`` is run against the cluster in memory and against real ones; a case that both pass
is the only warrant that the one in memory may stand for the others.
"""

import json

from synnefo_tx.ganeti import requests
from synnefo_tx.ganeti.requests import DiskSpec, InstanceSpec, NicSpec

from synnefo_tx.ganeti.rapi import RapiError  # isort: skip

REASON = "synnefo:conformance"
JOB_LIMIT_SECONDS = 90
LOOK_EVERY_SECONDS = 0.1


class ClusterSupport:
    """What the cases need of a cluster. The first part is each cluster's own business."""

    hypervisor = "fake"
    group = "default"
    link = "br0"

    async def sleep(self, seconds):
        """Let the cluster's time pass."""
        raise AssertionError("a cluster has its time")

    async def archive(self, job_id):
        """Have an ended job archived, as Ganeti's watcher does after some hours."""
        raise AssertionError("a cluster has its archive")

    async def kill_job(self, job_id):
        """Have the process that executes the job killed."""
        raise AssertionError("a cluster has its processes")

    async def raw(self, method, path, content=b"", **options):
        """Status and decoded body of a request; ``media`` and ``password`` may be given."""
        raise AssertionError("a cluster has its port")

    def begin(self, rapi, prefix):
        """To be called first: the client, and a prefix for the names this case makes."""
        self.rapi, self.prefix = rapi, prefix
        self.instances, self.networks = [], []

    async def clean(self):
        """Remove what a case left."""
        for name in self.instances:
            await self.settle(await self.rapi.delete_instance(name, REASON))
        for name in self.networks:
            await self.settle(await self.rapi.disconnect_network(name, self.group, REASON))
            await self.settle(await self.rapi.delete_network(name, REASON))

    async def settle(self, job_id):
        """The job when it has ended."""
        return await self.until(job_id, lambda job: job.final)

    async def until(self, job_id, condition):
        """The job when it fulfils the condition."""
        waited = 0.0
        while waited < JOB_LIMIT_SECONDS:
            job = await self.rapi.job(job_id)
            if condition(job):
                return job
            await self.sleep(LOOK_EVERY_SECONDS)
            waited += LOOK_EVERY_SECONDS
        raise AssertionError(f"job {job_id} is still {job.status}")

    async def succeed(self, submission):
        """The result of the only opcode of the job submitted, which is to succeed."""
        job = await self.settle(await submission)
        self.assertEqual((job.status, job.opresult), ("success", job.opresult))
        return job.opresult[0]

    async def fail_with(self, submission):
        """Kind and code (or None) of the failure of the job submitted, which is to fail."""
        job = await self.settle(await submission)
        self.assertEqual((job.status, list(job.opstatus)), ("error", ["error"]))
        kind, (text, *code) = job.opresult[0]
        self.assertIsInstance(text, str)
        return kind, (code[0] if code else None)

    def name(self, suffix):
        """A name of this case."""
        return f"{self.prefix}{suffix}"

    def spec(self, suffix="vm", **changes):
        """A small instance; it is removed when the case ends."""
        name = self.name(suffix)
        if name not in self.instances:
            self.instances.append(name)
        values = {
            "name": name,
            "os": "snf-image+default",
            "disk_template": "file",
            "hypervisor": self.hypervisor,
            "disks": [DiskSpec(f"{name}-root", 64)],
            "nics": [],
            "vcpus": 1,
            "memory_mib": 128,
            "opportunistic_locking": False,
        }
        return InstanceSpec(**(values | changes))

    def creation(self, suffix="vm", **changes):
        """Submit the creation of a small instance."""
        return self.rapi.create_instance(requests.create_body(self.spec(suffix, **changes)), REASON)

    async def created(self, suffix="vm", **changes):
        """A small instance, created."""
        await self.succeed(self.creation(suffix, **changes))
        return await self.rapi.instance(self.name(suffix))

    async def network(self, suffix="net", cidr="10.91.0.0/28", connected=True, **changes):
        """A network with a gateway, connected unless told otherwise; its name."""
        name = self.name(suffix)
        self.networks.append(name)
        gateway = changes.pop("gateway", cidr.rsplit(".", 1)[0] + ".1")
        body = requests.network_body(name, cidr=cidr, gateway=gateway) | changes
        await self.succeed(self.rapi.create_network(body, REASON))
        if connected:
            await self.succeed(self.connection(name))
        return name

    def connection(self, name, group=None):
        """Submit the connection of a network."""
        body = requests.connect_body(group or self.group, mode="bridged", link=self.link)
        return self.rapi.connect_network(name, body, REASON)

    def change(self, **body):
        """Submit a modification of the case's instance."""
        return self.rapi.modify_instance(self.name("vm"), body, REASON)


class TransportCases:
    """RAPI as a web service."""

    async def test_figures(self):
        """The cluster tells its version and name; nodes their memory, disk and address."""
        self.assertEqual(await self.rapi.version(), 2)
        info = await self.rapi.info()
        self.assertTrue(info["name"])
        self.assertIn("file", info["enabled_disk_templates"])
        self.assertIn("file", info["ipolicy"]["disk-templates"])
        self.assertIn(self.hypervisor, info["enabled_hypervisors"])
        for node in await self.rapi.nodes():
            for figure in ("mtotal", "mfree", "dtotal", "dfree", "ctotal", "cnodes", "pinst_cnt"):
                self.assertIsInstance(node[figure], int, figure)
            self.assertIs(node["vm_capable"], True)
            self.assertEqual((node["drained"], node["offline"]), (False, False))
            self.assertEqual(node["pip"].count("."), 3)
        self.assertIn(self.group, [group["name"] for group in await self.rapi.groups()])

    async def test_refusals(self):
        """Each wrong request has its status, and the form of RAPI's errors."""
        for expected, method, path, content, options in (
            (401, "GET", "/2/info", b"", {"password": "wrong"}),
            (401, "GET", "/2/nosuch", b"", {"password": "wrong"}),
            (404, "GET", "/2/nosuch", b"", {}),
            (404, "GET", "/2/instances/nosuch.x", b"", {}),
            (404, "GET", "/2/networks/nosuch", b"", {}),
            (404, "GET", "/2/jobs/abc", b"", {}),
            (400, "GET", "/2/instances?bulk=x", b"", {}),
            (501, "PUT", "/2/info", b"{}", {}),
            (501, "DELETE", "/2/instances", b"", {}),
            (415, "POST", "/2/instances", b"{}", {"media": "text/plain"}),
            (400, "POST", "/2/instances", b"{broken", {}),
            (400, "POST", "/2/instances", b"[1]", {}),
            (400, "POST", "/2/instances", b'{"name": "x"}', {}),
            (400, "POST", "/2/networks", b'{"network_name": "x"}', {}),
            (500, "POST", "/2/networks", b'{"network_name":"x","network":"10.8.0.1/29"}', {}),
            (400, "PUT", "/2/instances/x/modify", b'{"bogus": 1}', {}),
            (400, "PUT", "/2/instances/x/modify", b'{"nics": [["bogus", -1, {}]]}', {}),
            (400, "PUT", "/2/instances/x/shutdown", b'{"timeout": "x"}', {}),
            (400, "POST", "/2/instances/x/reboot?type=bogus", b"", {}),
            (400, "POST", "/2/instances/x/reboot", b'{"type": "hard"}', {}),
            (400, "DELETE", "/2/networks/x", b'{"depends": "x"}', {}),
            (400, "PUT", "/2/query/job", b"{}", {}),
            (500, "GET", "/2/jobs/999999/wait", b'{"fields": ["status"]}', {}),
        ):
            status, body = await self.raw(method, path, content, **options)
            self.assertEqual(status, expected, f"{method} {path} {content} {body}")
            self.assertEqual(body["code"], expected)
            self.assertIsInstance(body["message"], str)
            self.assertIsInstance(body["explain"], str)

    async def test_wrong_values_of_a_creation(self):
        """A creation with unknown parameters or values of a wrong type is refused at once."""
        right = requests.create_body(self.spec())
        self.instances.clear()
        for wrong in (
            {"bogus": 1},
            {"name": 3},
            {"disks": "x"},
            {"disk_template": "nosuch"},
            {"hypervisor": "nosuch"},
            {"mode": "bogus"},
            {"__version__": 2},
            {"nics": [{"bogus": "x"}]},
            {"depends": [[1, ["bogus"]]]},
        ):
            status, _ = await self.raw("POST", "/2/instances", json.dumps(right | wrong).encode())
            self.assertEqual(status, 400, wrong)

    async def test_messages_are_escaped(self):
        """Texts of errors come HTML-escaped over the wire, and our client undoes it."""
        _, body = await self.raw("PUT", "/2/instances/x/modify", b'{"bo<gus": 1}')
        self.assertIn("&#x27;bo&lt;gus&#x27;", body["message"])
        with self.assertRaises(RapiError) as caught:
            await self.rapi.modify_instance("x", {"bo<gus": 1}, REASON)
        self.assertIn("'bo<gus'", caught.exception.message)


class JobCases:
    """Submission, order and fate of jobs."""

    async def test_unknown_job(self):
        """A job id that was never given is answered without a status."""
        job = await self.rapi.job(999_999)
        self.assertEqual((job.known, job.archived), (False, False))
        status, body = await self.raw("GET", "/2/jobs/999999")
        self.assertEqual((status, body["id"], body["status"]), (200, 999_999, None))

    async def test_found_by_reason(self):
        """A job is found again by the reason given, among those after the highest id known."""
        before = await self.rapi.highest_job_id()
        job_id = await self.rapi.startup(self.name("nosuch"), "synnefo:lost & found")
        self.assertGreater(job_id, before)
        foreign = await self.rapi.startup(self.name("nosuch"), "somebody else")
        found = {job.id: job for job in await self.rapi.jobs_since(before)}
        self.assertEqual(found[job_id].reasons, ("synnefo:lost & found",))
        self.assertEqual(found[foreign].reasons, ("somebody else",))
        self.assertEqual(found[job_id].ops[0]["OP_ID"], "OP_INSTANCE_STARTUP")
        self.assertEqual(found[job_id].ops[0]["instance_name"], self.name("nosuch"))
        self.assertEqual(list(await self.rapi.jobs_since(foreign)), [])
        for each in (job_id, foreign):
            await self.settle(each)

    async def test_many_by_id(self):
        """Several jobs are one request; those unknown are told apart; order is by id."""
        first = await self.rapi.startup(self.name("nosuch"), REASON)
        second = await self.rapi.startup(self.name("nosuch"), REASON)
        jobs = await self.rapi.jobs_by_id([second, 999_999, first, first])
        self.assertEqual([job.id for job in jobs], [first, second, 999_999])
        self.assertEqual([job.known for job in jobs], [True, True, False])
        self.assertEqual(list(await self.rapi.jobs_by_id([])), [])
        for each in (first, second):
            await self.settle(each)

    async def test_life_of_a_job(self):
        """A job tells its times and log; what is wrong with the cluster's state fails in it."""
        job = await self.settle(await self.rapi.startup(self.name("nosuch"), REASON))
        self.assertEqual(job.status, "error")
        text = f"Instance '{self.name('nosuch')}' not known"
        self.assertEqual(job.opresult[0], ["OpPrereqError", [text, "unknown_entity"]])
        self.assertLessEqual(job.received_at, job.started_at)
        self.assertLessEqual(job.started_at, job.ended_at)
        self.assertEqual(job.oplog, ((),))

    async def test_archived_job(self):
        """An archived job is found by id and by what came after, but no longer counts."""
        job_id = await self.rapi.startup(self.name("nosuch"), REASON)
        before = (await self.settle(job_id)).id - 1
        await self.archive(job_id)
        job = await self.rapi.job(job_id)
        self.assertEqual((job.archived, job.status), (True, "error"))
        self.assertIn(job_id, [job.id for job in await self.rapi.jobs_since(before)])
        status, listed = await self.raw("GET", "/2/jobs")
        self.assertEqual(status, 200)
        self.assertNotIn(job_id, [job["id"] for job in listed])
        self.assertEqual(
            await self.rapi.cancel_job(job_id), (False, f"Job {job_id} not found in queue")
        )

    async def test_query_language(self):
        """Filters, unknown fields, and what a filter may not be."""
        job_id = await self.rapi.startup(self.name("nosuch"), REASON)
        await self.settle(job_id)

        async def query(qfilter, *fields):
            body = json.dumps({"fields": fields or ["id"], "qfilter": qfilter}).encode()
            return await self.raw("PUT", "/2/query/job", body)

        this = ["=", "id", job_id]
        for qfilter in (
            this,
            ["|", this],
            ["&", [">=", "id", job_id], ["<=", "id", job_id]],
            ["&", this, ["!", [">", "id", job_id]]],
            ["&", ["=", "status", "error"], this],
            ["&", this, ["&"]],
        ):
            status, body = await query(qfilter)
            self.assertEqual((status, body["data"]), (200, [[[0, job_id]]]), qfilter)
            self.assertEqual(body["fields"][0]["name"], "id")
        self.assertEqual((await query(["|"]))[1]["data"], [])
        self.assertEqual((await query(["!=", "id", job_id], "id"))[0], 200)
        self.assertEqual((await query(this, "id", "bogus"))[1]["data"], [[[0, job_id], [1, None]]])
        absent = (await query(["=", "id", 999_999], "id", "status", "archived"))[1]["data"]
        self.assertEqual(absent, [[[0, 999_999], [3, None], [3, None]]])
        self.assertEqual((await query(["=", "id", "3"]))[0], 500)
        self.assertEqual((await query(["bogus", "id", 3]))[0], 502)
        self.assertEqual((await query(["&", ["=", "archived", True]]))[0], 502)

    async def test_depends(self):
        """A job waits for those it depends on, and fails when one ends otherwise than allowed."""
        await self.network(connected=False)
        name = self.name("net")
        slow = await self.creation(osparams={"os_sleep": "1"})
        body = requests.connect_body(self.group, mode="bridged", link=self.link, depends=[slow])
        good = await self.rapi.connect_network(name, body, REASON)
        bad = await self.rapi.delete_network(name, REASON, depends=[(slow, ["error"])])
        chained = await self.rapi.delete_network(name, REASON, depends=[(bad, ["success"])])
        lost = await self.rapi.delete_network(name, REASON, depends=[(999_999, ["success"])])
        await self.until(slow, lambda job: job.status == "running")
        self.assertEqual((await self.rapi.job(good)).status, "queued")
        slow_job, good_job = await self.settle(slow), await self.settle(good)
        self.assertEqual((slow_job.status, good_job.status), ("success", "success"))
        self.assertGreaterEqual(good_job.started_at, slow_job.ended_at)
        texts = [(await self.settle(job_id)).opresult[0] for job_id in (bad, chained, lost)]
        wrong = "Dependency job {} finished with status '{}', not one of '{}' as required"
        self.assertEqual(texts[0], ["OpExecError", [wrong.format(slow, "success", "error")]])
        self.assertEqual(texts[1], ["OpExecError", [wrong.format(bad, "error", "success")]])
        self.assertEqual(texts[2], ["OpExecError", ["Dependency error: Job 999999 not found"]])

    async def test_order_per_instance(self):
        """A job on an instance that is being created waits for it; before, it is unknown."""
        creation = await self.creation(osparams={"os_sleep": "3"})
        early = await self.rapi.shutdown(self.name("vm"), REASON)
        self.assertEqual((await self.settle(early)).opresult[0][1][1], "unknown_entity")
        await self.until(creation, lambda job: "adding disks" in str(job.oplog))
        stop = await self.rapi.shutdown(self.name("vm"), REASON)
        again = await self.creation()
        waiting = await self.until(stop, lambda job: job.status != "queued")
        self.assertEqual(waiting.status, "waiting")
        self.assertIsNotNone(waiting.started_at)
        refused = await self.settle(again)
        self.assertEqual(refused.opresult[0][1][1], "already_exists")
        created, stopped = await self.settle(creation), await self.settle(stop)
        self.assertEqual((created.status, stopped.status), ("success", "success"))
        self.assertGreaterEqual(stopped.ended_at, created.ended_at)
        self.assertEqual((await self.rapi.instance(self.name("vm")))["status"], "ADMIN_down")

    async def test_cancel(self):
        """A queued job can be canceled, a running or ended one not."""
        creation = await self.creation(osparams={"os_sleep": "2"})
        queued = await self.rapi.delete_network("x", REASON, depends=[(creation, ["success"])])
        await self.until(creation, lambda job: "adding disks" in str(job.oplog))
        self.assertEqual(await self.rapi.cancel_job(queued), (True, f"Dequeued job {queued}"))
        done, text = await self.rapi.cancel_job(creation)
        self.assertEqual((done, "can't cancel" in text), (False, True))
        job = await self.settle(queued)
        self.assertEqual((job.status, job.started_at), ("canceled", None))
        self.assertEqual((await self.settle(creation)).status, "success")
        text = f"Job {creation} not found in queue"
        self.assertEqual(await self.rapi.cancel_job(creation), (False, text))

    async def test_death_of_a_job(self):
        """A job whose process is killed ends in error without a result; what it did stays."""
        creation = await self.creation(osparams={"os_sleep": "3"})
        await self.until(creation, lambda job: "running the instance OS" in str(job.oplog))
        await self.kill_job(creation)
        job = await self.settle(creation)
        self.assertEqual(job.status, "error")
        self.assertEqual(list(job.opresult), [f"detected death of job {creation}"])
        self.assertEqual((await self.rapi.instance(self.name("vm")))["status"], "ADMIN_down")

    async def test_wait(self):
        """Waiting for a job answers as soon as it differs from what was seen."""
        job_id = await self.creation(osparams={"os_sleep": "1"})
        seen = {"fields": ["status"], "previous_job_info": None, "previous_log_serial": None}
        status, body = await self.raw("GET", f"/2/jobs/{job_id}/wait", json.dumps(seen).encode())
        self.assertEqual((status, sorted(body)), (200, ["job_info", "log_entries"]))
        await self.settle(job_id)
        status, body = await self.raw("GET", f"/2/jobs/{job_id}/wait", json.dumps(seen).encode())
        self.assertEqual(body["job_info"], ["success"])


class NetworkCases:
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


class InstanceCases:
    """Instances from creation to removal."""

    async def test_created(self):
        """A created instance runs, with what was asked for, and tells it."""
        tags = ["cyclades:system:intent:abc", "x"]
        disks = [DiskSpec(f"{self.prefix}b", 64), DiskSpec(f"{self.prefix}a", 128)]
        job = await self.settle(await self.creation(tags=tags, disks=disks, vcpus=2))
        nodes = [node["name"] for node in await self.rapi.nodes()]
        self.assertEqual((job.status, job.opresult[0][0] in nodes), ("success", True))
        self.assertEqual(job.ops[0]["tags"], tags)
        instance = await self.rapi.instance(self.name("vm"))
        expected = {
            "name": self.name("vm"),
            "admin_state": "up",
            "oper_state": True,
            "status": "running",
            "pnode": job.opresult[0][0],
            "snodes": [],
            "disk_template": "file",
            "disk.names": [f"{self.prefix}b", f"{self.prefix}a"],
            "disk.sizes": [64, 128],
            "disk_usage": 192,
            "nic.ips": [],
            "oper_ram": 128,
            "oper_vcpus": 2,
            "tags": sorted(tags),
            "os": "snf-image+default",
        }
        self.assertEqual({key: instance[key] for key in expected}, expected)
        self.assertEqual(instance["beparams"]["memory"], 128)
        self.assertEqual(
            instance["custom_beparams"],
            {"minmem": 128, "maxmem": 128, "vcpus": 2, "auto_balance": True},
        )
        self.assertIn(instance["uuid"], [one["uuid"] for one in await self.rapi.instances()])

    async def test_log_of_a_creation(self):
        """The log of a creation tells its steps in order, from which progress is read."""
        job = await self.settle(await self.creation())
        texts = [entry[3] for entry in job.oplog[0]]
        self.assertEqual([entry[0] for entry in job.oplog[0]], list(range(1, len(texts) + 1)))
        self.assertEqual({entry[2] for entry in job.oplog[0]}, {"message"})
        self.assertIn("Selected nodes for instance", texts[0])
        self.assertEqual(
            texts[1:],
            [
                "* disk 0, size 64M",
                "* creating instance disks...",
                f"adding instance {self.name('vm')} to cluster config",
                "adding disks to cluster config",
                "* running the instance OS create scripts...",
                "* starting instance...",
            ],
        )

    async def test_creations_refused(self):
        """What cannot be created fails in the job with its code and leaves nothing."""
        for changes, expected in (
            ({"nics": [NicSpec("a", "nonet", "pool")]}, ("OpPrereqError", "unknown_entity")),
            ({"osparams": {"bogus": "1"}}, ("OpExecError", None)),
            ({"os": "nosuch+default"}, ("OpExecError", None)),
            ({"memory_mib": 261_000}, ("OpPrereqError", "insufficient_resources")),
            ({"disk_template": "plain"}, ("OpPrereqError", None)),
            ({"tags": ["bad tag"]}, ("TagError", None)),
            ({"disk_template": "ext"}, ("OpPrereqError", "wrong_input")),
            (
                {"disk_template": "ext", "disks": [DiskSpec("d", 64, "nosuch")]},
                ("OpExecError", None),
            ),
        ):
            self.assertEqual(await self.fail_with(self.creation(**changes)), expected, changes)
            with self.assertRaises(RapiError) as caught:
                await self.rapi.instance(self.name("vm"))
            self.assertEqual(caught.exception.status, 404)
        self.instances.clear()

    async def test_name_in_use(self):
        """A second creation under the same name fails; so a lost creation cannot double."""
        await self.created()
        self.assertEqual(await self.fail_with(self.creation()), ("OpPrereqError", "already_exists"))

    async def test_failed_os_script(self):
        """When the OS script fails the instance is there, down, and can be removed."""
        job = await self.settle(await self.creation(osparams={"os_fail": "boom"}))
        kind, (text,) = job.opresult[0]
        self.assertEqual((job.status, kind), ("error", "OpExecError"))
        self.assertIn(f"Could not add os for instance {self.name('vm')} on node", text)
        self.assertIn("OS create script failed (exited with exit code 1)", text)
        self.assertIn("create was told to fail: boom", text)
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual((instance["status"], instance["oper_state"]), ("ADMIN_down", False))
        self.assertIsNone(await self.succeed(self.rapi.delete_instance(self.name("vm"), REASON)))
        self.instances.clear()

    async def test_not_started(self):
        """An instance may be created without starting it."""
        instance = await self.created(start=False)
        self.assertEqual((instance["status"], instance["oper_ram"]), ("ADMIN_down", None))

    async def test_external_storage(self):
        """A disk of external storage names its provider, with parameters of its own."""
        disks = [DiskSpec(f"{self.prefix}e", 64, "testext", {"origin": "image"})]
        instance = await self.created(disk_template="ext", disks=disks)
        self.assertEqual((instance["disk_template"], instance["disk.sizes"]), ("ext", [64]))

    async def test_power(self):
        """Stop, start and reboot change the status; repeating one is no error."""
        name = self.name("vm")
        await self.created()
        for action, status in (
            (lambda: self.rapi.startup(name, REASON), "running"),
            (lambda: self.rapi.shutdown(name, REASON, timeout_seconds=0), "ADMIN_down"),
            (lambda: self.rapi.shutdown(name, REASON), "ADMIN_down"),
            (lambda: self.rapi.startup(name, REASON), "running"),
            (lambda: self.rapi.reboot(name, REASON, shutdown_timeout_seconds=0), "running"),
        ):
            self.assertIsNone(await self.succeed(action()))
            instance = await self.rapi.instance(name)
            self.assertEqual(instance["status"], status)
            self.assertEqual(instance["oper_state"], status == "running")
        await self.succeed(self.rapi.shutdown(name, REASON, timeout_seconds=0))
        job = await self.settle(await self.rapi.reboot(name, REASON))
        self.assertIn("was already stopped, starting now", str(job.oplog))
        self.assertEqual((await self.rapi.instance(name))["status"], "running")

    async def test_resize(self):
        """Another size is there after the next start; the job tells what changed."""
        name = self.name("vm")
        await self.created()
        await self.succeed(self.rapi.shutdown(name, REASON, timeout_seconds=0))
        result = await self.succeed(
            self.rapi.modify_instance(name, requests.resize_body(2, 256), REASON)
        )
        self.assertEqual(sorted(result), [["be/maxmem", 256], ["be/minmem", 256], ["be/vcpus", 2]])
        instance = await self.rapi.instance(name)
        self.assertEqual((instance["beparams"]["memory"], instance["oper_ram"]), (256, None))
        await self.succeed(self.rapi.startup(name, REASON))
        instance = await self.rapi.instance(name)
        self.assertEqual((instance["oper_ram"], instance["oper_vcpus"]), (256, 2))

    async def test_resize_refused(self):
        """More processors than the policy allows are refused, and unknown parameters."""
        await self.created(start=False)
        refused = self.change(beparams={"vcpus": 3000})
        self.assertEqual(await self.fail_with(refused), ("OpPrereqError", "wrong_input"))
        refused = self.change(beparams={"bogus": 1})
        self.assertEqual(await self.fail_with(refused), ("TypeEnforcementError", None))
        for nothing in ({}, {"nics": []}):
            refused = self.change(**nothing)
            self.assertEqual(await self.fail_with(refused), ("OpPrereqError", "wrong_input"))

    async def test_offline(self):
        """An instance marked offline has a status of its own and cannot be started."""
        await self.created(start=False)
        self.assertEqual(
            await self.succeed(self.change(offline=True)), [["admin_state", "offline"]]
        )
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual(instance["status"], "ADMIN_offline")
        refused = self.rapi.startup(self.name("vm"), REASON)
        self.assertEqual(await self.fail_with(refused), ("OpPrereqError", "wrong_state"))
        self.assertEqual(await self.succeed(self.change(offline=False)), [["admin_state", "down"]])

    async def test_tags(self):
        """Tags are added and removed; a tag that is not there, or not allowed, fails the job."""
        name = self.name("vm")
        await self.created(tags=["first"])
        tags = ["cyclades:user:a/b*c", "z"]
        self.assertIsNone(await self.succeed(self.rapi.set_tags(name, tags, REASON)))
        instance = await self.rapi.instance(name)
        self.assertEqual(sorted(instance["tags"]), sorted([*tags, "first"]))
        await self.succeed(self.rapi.delete_tags(name, ["first"], REASON))
        self.assertNotIn("first", (await self.rapi.instance(name))["tags"])
        refused = self.rapi.delete_tags(name, ["first"], REASON)
        self.assertEqual(await self.fail_with(refused), ("OpPrereqError", "unknown_entity"))
        refused = self.rapi.set_tags(name, ["bad tag"], REASON)
        self.assertEqual(await self.fail_with(refused), ("TagError", None))

    async def test_removed(self):
        """A removed instance is gone, with the memory and addresses it had."""
        network = await self.network()
        await self.created(nics=[NicSpec("a", network, "pool")])
        await self.succeed(
            self.rapi.delete_instance(self.name("vm"), REASON, shutdown_timeout_seconds=0)
        )
        self.instances.clear()
        names = [one["name"] for one in await self.rapi.instances()]
        self.assertNotIn(self.name("vm"), names)
        self.assertEqual((await self.rapi.network(network))["free_count"], 13)


class DeviceCases:
    """NICs and disks of an instance that exists."""

    async def test_nics(self):
        """NICs are added, renamed and removed, by name, UUID or position."""
        network = await self.network()
        await self.created(nics=[NicSpec("a", network, "10.91.0.9")])
        added = await self.succeed(
            self.change(nics=[["add", -1, {"name": "b", "network": network, "ip": "pool"}]])
        )
        instance = await self.rapi.instance(self.name("vm"))
        mac, link = instance["nic.macs"][1], self.link
        text = f"add:mac={mac},ip=10.91.0.2,mode=bridged,link={link},network={network}"
        self.assertEqual(added, [["nic.1", text]])
        changed = await self.succeed(self.change(nics=[["modify", "b", {"name": "c"}]]))
        values = [["nic.link/1", link], ["nic.mode/1", "bridged"], ["nic.vlan/1", ""]]
        self.assertEqual(changed, [["nic.name/1", "c"], *values])
        moved = await self.succeed(self.change(nics=[["modify", "c", {"ip": "10.91.0.7"}]]))
        self.assertIn(["nic.ip/1", "10.91.0.7"], moved)
        by_uuid = ["remove", instance["nic.uuids"][0], {}]
        self.assertEqual(await self.succeed(self.change(nics=[by_uuid])), [["NIC/0", "remove"]])
        await self.succeed(self.change(nics=[["add", {"name": "d"}]]))
        self.assertEqual(
            await self.succeed(self.change(nics=[["remove", -1, {}]])), [["NIC/1", "remove"]]
        )
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual((instance["nic.names"], instance["nic.ips"]), (["c"], ["10.91.0.7"]))
        self.assertEqual((await self.rapi.network(network))["map"], "XX.....X.......X")

    async def test_nics_refused(self):
        """Unknown NICs, names twice and addresses in use fail, and nothing changes."""
        network = await self.network()
        nics = [NicSpec("a", network, "10.91.0.9"), NicSpec("b", network, "10.91.0.8")]
        await self.created(nics=nics)
        for change, code in (
            (["remove", "nosuch", {}], "unknown_entity"),
            (["add", -1, {"name": "a"}], "resource_not_unique"),
            (["modify", "a", {"ip": "10.91.0.8"}], "resource_not_unique"),
            (["add", -1, {"network": "nosuch", "ip": "pool"}], "unknown_entity"),
        ):
            refused = self.change(nics=[change])
            self.assertEqual(await self.fail_with(refused), ("OpPrereqError", code), change)
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual(instance["nic.ips"], ["10.91.0.9", "10.91.0.8"])

    async def test_disks(self):
        """Disks are added, renamed, detached, attached again and removed."""
        await self.created(start=False)
        extra = f"{self.prefix}v2"
        for change, expected in (
            (["add", -1, {"size": 128, "name": extra}], ["disk/1", "add:size=128,mode=rw"]),
            (["detach", extra, {}], ["disk/1", "detach"]),
            (["attach", -1, {"name": extra}], ["disk/1", "attach:size=128,mode=rw"]),
            (["modify", extra, {"name": f"{extra}b"}], ["disk.name/1", f"{extra}b"]),
            (["remove", f"{extra}b", {}], ["disk/1", "remove"]),
        ):
            self.assertEqual(await self.succeed(self.change(disks=[change])), [expected])
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual(instance["disk.names"], [f"{self.name('vm')}-root"])

    async def test_disks_refused(self):
        """Disks without a size, with a name in use, or unknown ones fail."""
        await self.created(start=False)
        root = f"{self.name('vm')}-root"
        for change, code in (
            (["add", -1, {"name": "x"}], "wrong_input"),
            (["add", -1, {"name": root, "size": 64}], "resource_not_unique"),
            (["remove", "nosuch", {}], None),
        ):
            refused = self.change(disks=[change])
            self.assertEqual(await self.fail_with(refused), ("OpPrereqError", code), change)

    async def test_grow(self):
        """A disk grows by what is asked for."""
        await self.created(start=False)
        path = f"/2/instances/{self.name('vm')}/disk/0/grow"
        _, job_id = await self.raw("POST", path, b'{"amount": 64}')
        job = await self.settle(job_id)
        self.assertEqual((job.status, job.opresult), ("success", (None,)))
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual(instance["disk.sizes"], [128])

    async def test_reinstall(self):
        """A reinstallation is one job of three opcodes."""
        await self.created()
        path = f"/2/instances/{self.name('vm')}/reinstall"
        _, job_id = await self.raw("POST", path, b'{"os": "testos+default"}')
        job = await self.settle(job_id)
        self.assertEqual(job.opstatus, ("success",) * 3)
        names = [op["OP_ID"].removeprefix("OP_INSTANCE_") for op in job.ops]
        self.assertEqual(names, ["SHUTDOWN", "REINSTALL", "STARTUP"])
        instance = await self.rapi.instance(self.name("vm"))
        self.assertEqual((instance["os"], instance["status"]), ("testos+default", "running"))


class FakeHypervisorCases:
    """The hypervisor "fake", which has neither screens nor hotplug."""

    async def test_no_hotplug(self):
        """Demanding hotplug fails the job; wishing for it changes the configuration only."""
        await self.created()
        nic = ["add", -1, {"name": "n"}]
        refused = self.change(nics=[nic], hotplug=True)
        self.assertEqual(await self.fail_with(refused), ("OpPrereqError", "wrong_state"))
        job = await self.settle(await self.change(nics=[nic], hotplug_if_possible=True))
        self.assertEqual((job.status, len(job.opresult[0])), ("success", 1))
        self.assertIn("will take place without hotplugging", str(job.oplog))

    async def test_no_screen(self):
        """There is no port for a screen."""
        self.assertIsNone((await self.created())["network_port"])


class KvmCases:
    """The hypervisor "kvm"."""

    hypervisor = "kvm"

    async def test_screen_port(self):
        """Each instance has a port of its own, and keeps it while it is stopped."""
        first = await self.created()
        second = await self.created("other", start=False)
        self.assertGreaterEqual(first["network_port"], 11_000)
        self.assertNotEqual(first["network_port"], second["network_port"])
        await self.succeed(self.rapi.shutdown(first["name"], REASON, timeout_seconds=0))
        stopped = await self.rapi.instance(first["name"])
        self.assertEqual(stopped["network_port"], first["network_port"])
        self.assertIs(stopped["hvparams"]["serial_console"], False)

    async def test_hotplug(self):
        """NICs and disks are changed in the running guest, which the job tells."""
        await self.created()
        disk = f"{self.prefix}hot"
        for body, name in (
            ({"nics": [["add", -1, {"name": "n"}]]}, "nic.0"),
            ({"nics": [["remove", "n", {}]]}, "NIC/0"),
            ({"disks": [["add", -1, {"name": disk, "size": 64}]]}, "disk/1"),
            ({"disks": [["remove", disk, {}]]}, "disk/1"),
        ):
            result = await self.succeed(self.change(**body, hotplug=True))
            self.assertEqual(result[1], [name, "hotplug:done"])

    async def test_hotplug_of_a_stopped_guest(self):
        """A stopped guest is changed in the configuration."""
        await self.created(start=False)
        nic = ["add", -1, {"name": "n"}]
        result = await self.succeed(self.change(nics=[nic], hotplug_if_possible=True))
        self.assertEqual(len(result), 1)

    async def test_unknown_parameter(self):
        """A parameter that the hypervisor has not is refused."""
        await self.created(start=False)
        refused = self.change(hvparams={"bogus": "x"})
        self.assertEqual((await self.fail_with(refused))[0], "HypervisorError")


class ClusterCases(
    TransportCases, JobCases, NetworkCases, InstanceCases, DeviceCases, ClusterSupport
):
    """All cases that hold for every cluster and hypervisor."""
