"""What a cluster in memory can be made to do wrong, and what its callers see."""

import json
import random

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti import requests
from synnefo_tx.ganeti.memory import CallFault, ClusterConfig, Fault, JobFault, MemoryGaneti
from synnefo_tx.ganeti.memory.config import NodeConfig
from synnefo_tx.ganeti.memory.front import MAX_CLIENTS
from synnefo_tx.ganeti.memory.installer import password_matches
from synnefo_tx.ganeti.rapi import (
    ClusterEndpoint,
    Limits,
    RapiError,
    RapiUnanswered,
    TreqRapi,
)
from synnefo_tx.ganeti.requests import DiskSpec, InstanceSpec

LIMITS = Limits(connections=40, timeout_seconds=20, breaker_failures=100)


class MemoryCase(SynchronousTestCase):
    """A cluster in memory and a client of it."""

    config = ClusterConfig()

    def setUp(self):
        self.clock = Clock()
        self.pages = {}
        self.ganeti = MemoryGaneti(
            self.clock, random.Random(3), config=self.config, fetch=self.fetch
        )
        endpoint = ClusterEndpoint("m", "memory.example", 5080, "synnefo", "synnefo")
        self.rapi = TreqRapi(self.ganeti.agent(), endpoint, self.clock, LIMITS)

    async def fetch(self, url):
        return await self.pages[url]

    def call(self, name, *args, **kwargs):
        return Deferred.fromCoroutine(getattr(self.rapi, name)(*args, **kwargs))

    def result(self, name, *args, **kwargs):
        return self.successResultOf(self.call(name, *args, **kwargs))

    def create(self, name="snf-1", **changes):
        values = {
            "name": name,
            "os": "snf-image+default",
            "disk_template": "file",
            "hypervisor": "kvm",
            "disks": [DiskSpec("d", 64)],
            "nics": [],
            "vcpus": 1,
            "memory_mib": 128,
        }
        body = requests.create_body(InstanceSpec(**(values | changes)))
        return self.call("create_instance", body, "synnefo:1")

    def run_jobs(self, seconds=3):
        self.clock.pump([0.1] * (seconds * 10))

    def fault(self, kind, **options):
        self.ganeti.faults.add(Fault(kind, **options))

    def jobs(self):
        return self.result("jobs_since", 0)


class CallFaultTests(MemoryCase):
    """Faults of a single call."""

    def test_request_lost(self):
        """The call has no answer and no effect."""
        self.fault(CallFault.REQUEST_LOST)
        self.failureResultOf(self.create(), RapiUnanswered)
        self.assertEqual(self.jobs(), ())

    def test_reply_lost(self):
        """The call has no answer, and its job is found by its reason."""
        self.fault(CallFault.REPLY_LOST)
        self.failureResultOf(self.create(), RapiUnanswered)
        self.assertEqual([job.reasons for job in self.jobs()], [("synnefo:1",)])

    def test_garbled_replies(self):
        """Garbage and cut replies leave the outcome open, with the effect done."""
        for count, kind in enumerate((CallFault.GARBAGE, CallFault.TRUNCATED), start=1):
            self.fault(kind)
            self.failureResultOf(self.create(f"snf-{count}"), RapiUnanswered)
            self.assertEqual(len(self.jobs()), count)

    def test_refused_on_the_way(self):
        """401 is an answer; a proxy's 502 is none; neither has an effect."""
        self.fault(CallFault.UNAUTHORIZED)
        self.assertEqual(self.failureResultOf(self.create(), RapiError).value.status, 401)
        self.fault(CallFault.BAD_GATEWAY)
        self.failureResultOf(self.create(), RapiUnanswered)
        self.assertEqual(self.jobs(), ())

    def test_late_reply(self):
        """A reply within the caller's time is taken, a later one is not."""
        for seconds, arrives in ((19, True), (21, False)):
            self.fault(CallFault.REPLY_DELAYED, seconds=seconds)
            call = self.create()
            self.clock.pump([0.5] * 44)
            if arrives:
                self.assertEqual(self.successResultOf(call), 1)
            else:
                self.failureResultOf(call, RapiUnanswered)
        self.assertEqual(len(self.jobs()), 2)

    def test_accepted_late(self):
        """A request may take effect after its caller has given up and looked for it in vain."""
        self.fault(CallFault.ACCEPTED_LATE, seconds=30)
        call = self.create()
        self.clock.advance(20)
        self.failureResultOf(call, RapiUnanswered)
        self.assertEqual(self.jobs(), ())
        self.clock.advance(10)
        self.assertEqual([job.reasons for job in self.jobs()], [("synnefo:1",)])

    def test_hang(self):
        """A hanging call ends by its caller's time limit."""
        self.fault(CallFault.HANGS)
        call = self.create()
        self.clock.advance(19)
        self.assertNoResult(call)
        self.clock.advance(1)
        self.failureResultOf(call, RapiUnanswered)

    def test_empty_list(self):
        """A listing may wrongly be empty."""
        self.successResultOf(self.create())
        self.run_jobs()
        self.fault(CallFault.EMPTY_LIST, path="/2/instances")
        self.assertEqual(len(self.result("nodes")), 1)
        self.assertEqual(self.result("instances"), [])
        self.assertEqual(len(self.result("instances")), 1)

    def test_too_many_clients(self):
        """All places hang: the next request waits, and is served even if its caller has left."""
        self.fault(CallFault.HANGS, method="GET", times=MAX_CLIENTS)
        hanging = [self.call("info") for _ in range(MAX_CLIENTS)]
        self.clock.advance(1)
        submission = self.create()
        submission.cancel()
        self.failureResultOf(submission)
        self.assertEqual(dict(self.ganeti.cluster.store.jobs), {})
        hanging[0].cancel()
        self.failureResultOf(hanging[0])
        self.assertEqual(len(self.ganeti.cluster.store.jobs), 1)
        self.assertEqual(len(self.jobs()), 1)
        for call in hanging[1:]:
            call.cancel()
            self.failureResultOf(call)


class JobFaultTests(MemoryCase):
    """Faults of a job."""

    def status(self):
        self.run_jobs()
        job = self.result("job", 1)
        return job.status, job.opresult[0], job.archived

    def test_fails(self):
        """The opcode fails and leaves nothing."""
        self.fault(JobFault.FAILS, opcode="OP_INSTANCE_CREATE")
        self.successResultOf(self.create())
        self.assertEqual(self.status()[0], "error")
        self.assertEqual(self.result("instances"), [])

    def test_dies(self):
        """The process dies in the middle: no result, whatever was done stays."""
        self.fault(JobFault.DIES)
        self.successResultOf(self.create())
        self.assertEqual(self.status(), ("error", "detected death of job 1", False))

    def test_stays_queued(self):
        """The job waits until the fault is healed, then runs."""
        self.fault(JobFault.STAYS_QUEUED)
        self.successResultOf(self.create())
        self.run_jobs(60)
        self.assertEqual(self.result("job", 1).status, "queued")
        self.ganeti.faults.clear()
        self.assertEqual(self.status()[0], "success")

    def test_archived(self):
        """A job is archived at once by the fault, and after six hours without it."""
        self.fault(JobFault.ARCHIVED_EARLY)
        self.successResultOf(self.create())
        self.assertEqual(self.status()[2], True)
        self.successResultOf(self.create("snf-2"))
        self.run_jobs()
        self.assertEqual(self.result("highest_job_id"), 2)
        self.clock.advance(6 * 3600)
        self.assertEqual(self.result("highest_job_id"), 0)
        self.assertEqual([job.archived for job in self.jobs()], [True, True])

    def test_hotplug_fails(self):
        """The job succeeds and the configuration changes, but the guest keeps its devices."""
        self.successResultOf(self.create())
        self.run_jobs()
        self.fault(JobFault.HOTPLUG_FAILS)
        nic = ["add", -1, {"name": "n"}]
        job_id = self.result("modify_instance", "snf-1", {"nics": [nic], "hotplug": True}, "r")
        self.run_jobs()
        job = self.result("job", job_id)
        self.assertEqual((job.status, job.opresult[0][1]), ("success", ["nic.0", "hotplug:failed"]))
        self.assertEqual(self.result("instance", "snf-1")["nic.names"], ["n"])


class InstallerTests(MemoryCase):
    """The OS installer's one-time parameters."""

    def test_stamps_password_and_files(self):
        """The hash of the password and the files are on the disk; the password is nowhere."""
        personality = [{"path": "/etc/motd", "contents": "aGk=", "owner": "root", "mode": 420}]
        page = {
            "img_id": "debian",
            "img_passwd": "canary-password",
            "img_personality": json.dumps(personality),
        }
        self.pages["http://vm/1"] = Deferred()
        self.successResultOf(self.create(osparams={"config_url": "http://vm/1"}))
        self.run_jobs()
        self.assertEqual(self.result("job", 1).status, "running")
        self.pages["http://vm/1"].callback(json.dumps(page).encode())
        self.run_jobs()
        lines = self.ganeti.disk_text("snf-1").splitlines()
        self.assertEqual(lines[0], "testos snf-1 debian")
        self.assertTrue(password_matches("canary-password", lines[1].split()[1]))
        self.assertFalse(password_matches("other", lines[1].split()[1]))
        self.assertEqual(lines[2:], ["file /etc/motd root root 0644 aGk=", "end"])
        self.assertNotIn("canary-password", str(self.ganeti.cluster.store.tables))

    def test_parameters_that_cannot_be_had(self):
        """Without its parameters a creation fails, leaves the instance down, tells no address."""
        for name, end in (
            ("snf-1", lambda page: page.errback(ValueError("404 of http://vm/secret"))),
            ("snf-2", lambda page: page.callback(b"<html>")),
            ("snf-3", lambda page: page.callback(b"[]")),
            ("snf-4", lambda page: self.clock.advance(30)),
            ("snf-5", lambda page: page.callback(b'{"img_personality": "[3]"}')),
        ):
            page = self.pages["http://vm/secret"] = Deferred()
            page.addErrback(lambda failure: failure)
            self.successResultOf(self.create(name, osparams={"config_url": "http://vm/secret"}))
            self.run_jobs(2)
            end(page)
            self.run_jobs(1)
            job = self.jobs()[-1]
            self.assertEqual(job.status, "error", name)
            self.assertIn("OS create script failed", str(job.opresult))
            self.assertNotIn("http://vm/secret", str(job.opresult) + str(job.oplog))
            self.assertEqual(self.result("instance", name)["status"], "ADMIN_down")


class PlacementTests(MemoryCase):
    """Where instances go."""

    config = ClusterConfig(
        nodes=(NodeConfig("n1", 1128, 1000), NodeConfig("n2", 1128, 1000)), job_seconds=0.1
    )

    def test_spread_and_full(self):
        """Instances are spread evenly; when no node has room the job says so."""
        for number in range(5):
            self.successResultOf(self.create(f"snf-{number}", memory_mib=500))
            self.run_jobs(1)
        nodes = [instance["pnode"] for instance in self.result("instances")]
        self.assertEqual(sorted(nodes), ["n1", "n1", "n2", "n2"])
        text = "No valid allocation solutions, failure reasons: FailMem: 2"
        self.assertIn(text, str(self.jobs()[-1].opresult))
        self.assertEqual([node["mfree"] for node in self.result("nodes")], [0, 0])

    def test_disk_full(self):
        """Disks that fit on no node are refused; external storage takes none of a node's."""
        for disk_mib, template in ((600, "file"), (600, "file"), (600, "file"), (600, "ext")):
            disks = [DiskSpec("d", disk_mib, "testext" if template == "ext" else None)]
            name = f"snf-{len(self.jobs())}"
            self.successResultOf(self.create(name, disks=disks, disk_template=template))
            self.run_jobs(1)
        self.assertIn("FailDisk: 2", str(self.jobs()[2].opresult))
        self.assertEqual(self.jobs()[3].status, "success")
        self.assertEqual([node["dfree"] for node in self.result("nodes")], [400, 400])

    def test_many_at_once(self):
        """Fifty creations at once never put more on a node than fits."""
        for number in range(50):
            self.successResultOf(self.create(f"snf-{number}", memory_mib=250))
        self.run_jobs(5)
        self.assertEqual(len(self.result("instances")), 8)
        statuses = sorted(job.status for job in self.jobs())
        self.assertEqual(statuses, ["error"] * 42 + ["success"] * 8)

    def test_nodes_out_of_service(self):
        """Offline and drained nodes get nothing."""
        self.ganeti.set_node("n1", offline=True)
        self.successResultOf(self.create())
        self.run_jobs(1)
        self.ganeti.set_node("n2", drained=True)
        self.successResultOf(self.create("snf-2"))
        self.run_jobs(1)
        self.assertEqual([one["pnode"] for one in self.result("instances")], ["n2"])
        self.assertIn("No nodes", str(self.jobs()[-1].opresult))
        self.assertIsNone(self.result("nodes")[0]["mfree"])

    def test_guests_that_left_by_themselves(self):
        """A guest that ended is ERROR_down, one started behind Ganeti's back ERROR_up."""
        self.successResultOf(self.create())
        self.run_jobs(1)
        self.ganeti.kill_guest("snf-1")
        self.assertEqual(self.result("instance", "snf-1")["status"], "ERROR_down")
        self.result("shutdown", "snf-1", "r")
        self.run_jobs(1)
        self.ganeti.revive_guest("snf-1")
        self.assertEqual(self.result("instance", "snf-1")["status"], "ERROR_up")


class DeterminismTests(SynchronousTestCase):
    """The same chance and time give the same cluster."""

    def test_same_twice(self):
        """Two runs of one seed answer alike to the last field."""

        def run():
            case = MemoryCase("run_jobs")
            case.setUp()
            for number in range(3):
                case.successResultOf(case.create(f"snf-{number}"))
            case.run_jobs()
            return case.result("instances"), case.jobs(), case.result("nodes")

        self.assertEqual(run(), run())
