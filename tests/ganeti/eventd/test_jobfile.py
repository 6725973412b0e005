"""What job files of Ganeti say, and that no file can break the reader."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.eventd.jobfile import announcements, read_job
from synnefo_tx.ganeti.eventd.model import BODY_MAX_BYTES, BadJobFile
from synnefo_tx.ganeti.messages import (
    ClusterStatus,
    NetworkStatus,
    OpStatus,
    OtherMessage,
    parse,
)
from tests.ganeti.eventd.samples import CLUSTER, altered, job, real

STATUSES = ["queued", "waiting", "canceling", "running", "success", "error", "canceled"]
COMMON = {
    "type", "event_time", "operation", "status", "cluster", "jobId", "logmsg", "result", "intent",
    "error",
}  # fmt: skip


def told(content: bytes):
    """The announcements of a file."""
    return announcements(read_job(content), CLUSTER)


def message(content: bytes):
    """Routing key and body of the only announcement."""
    (only,) = told(content)
    return only.routing_key, json.loads(only.body)


class InstanceTests(SynchronousTestCase):
    def test_create(self):
        """A creation is told with its intent, its job, and what was asked for."""
        key, body = message(real("create"))
        self.assertEqual(key, "ganeti.snf.event.op")
        self.assertEqual(set(body), COMMON | {"instance", "tags", "job_fields"})
        self.assertEqual(
            (body["type"], body["operation"], body["status"], body["cluster"], body["jobId"]),
            ("ganeti-op-status", "OP_INSTANCE_CREATE", "success", CLUSTER, 5),
        )
        self.assertEqual(body["instance"], "snf-42")
        self.assertEqual(body["intent"], "11112222-3333-4444-5555-666677778888")
        self.assertEqual(body["event_time"], [1795238889, 705484])
        self.assertEqual(body["logmsg"], "* starting instance...")
        self.assertEqual((body["result"], body["error"]), (["node1.gnt21.example"], None))
        nics = [{"ip": "pool", "name": "snf-nic-5", "network": "snf-net-7"}]
        self.assertEqual(
            body["job_fields"],
            {
                "nics": nics,
                "disks": [{"size": 100, "name": "snf-vol-3"}],
                "hvparams": {},
                "beparams": {},
            },
        )

    def test_failed_create(self):
        """A failed creation is told with Ganeti's reason and its whole input, secrets left out."""
        document = json.loads(real("create_failed"))
        document["ops"][0]["input"]["osparams_private"] = {"password": "canary"}
        _, body = message(json.dumps(document).encode())
        self.assertEqual(body["status"], "error")
        self.assertIn("create was told to fail: haha", body["error"])
        self.assertIsNone(body["intent"])
        fields = body["job_fields"]
        self.assertEqual(
            (fields["OP_ID"], fields["osparams"]), ("OP_INSTANCE_CREATE", {"os_fail": "haha"})
        )
        self.assertNotIn("canary", json.dumps(body))

    def test_times(self):
        """The time of an event is when its status began."""
        times = {
            status: message(real(f"set_params_{status}"))[1]["event_time"]
            for status in ("queued", "waiting", "running")
        }
        times["success"] = message(real("set_params"))[1]["event_time"]
        filed = json.loads(real("set_params"))
        self.assertEqual(times["queued"], filed["received_timestamp"])
        self.assertEqual(times["waiting"], filed["ops"][0]["start_timestamp"])
        self.assertEqual(times["running"], filed["ops"][0]["exec_timestamp"])
        self.assertEqual(times["success"], filed["ops"][0]["end_timestamp"])

    def test_missing_times(self):
        """A job that died, or was canceled in the queue, is told all the same."""
        nothing = dict.fromkeys(["start_timestamp", "exec_timestamp", "end_timestamp"])
        content = altered("shutdown", status="error", result="detected death of job 7", **nothing)
        _, body = message(content)
        self.assertEqual(body["event_time"], json.loads(content)["end_timestamp"])
        self.assertEqual(body["error"], "detected death of job 7")

    def test_canceled(self):
        """Both spellings of canceled are understood."""
        for spelling in ("canceled", "cancelled"):
            content = altered("startup", status=spelling, result="Job canceled by request")
            _, body = message(content)
            self.assertEqual(
                (body["status"], body["error"]), ("canceled", "Job canceled by request")
            )

    def test_details_wanted(self):
        """NICs and disks are told where they may have changed, and only there."""
        wanted = {
            (opcode, status)
            for opcode in ("CREATE", "STARTUP", "SHUTDOWN", "SET_PARAMS", "GROW_DISK", "REMOVE")
            for status in STATUSES
            if told(job(1, status, opcode=f"OP_INSTANCE_{opcode}"))[0].wants_details
        }
        final = ("success", "error", "canceled")
        self.assertEqual(
            wanted,
            {("CREATE", "success"), ("STARTUP", "success")}
            | {(opcode, status) for opcode in ("SET_PARAMS", "GROW_DISK") for status in final},
        )

    def test_snapshot(self):
        """A snapshot's first disk tells what the caller named as the reason."""
        given_ = {
            "OP_ID": "OP_INSTANCE_SNAPSHOT",
            "instance_name": "snf-1",
            "disks": [[0, {"snapshot_name": "s"}], [1, {}]],
            "reason": [["gnt:user", "snapshot-7", 1]],
        }
        _, body = message(altered("shutdown", input=given_))
        expected = [[0, {"snapshot_name": "s", "snapshot_info": "snapshot-7"}], [1, {}]]
        self.assertEqual(body["job_fields"], {"disks": expected})

    def test_every_operation(self):
        """A job of several operations is told operation by operation."""
        found = told(job(3, ops=3))
        self.assertEqual([each.op for each in found], [0, 1, 2])

    def test_not_ours(self):
        """Instances without a prefix, and operations on none or several, are not told."""
        self.assertEqual(told(job(1, instance="web")), [])
        self.assertEqual(told(job(1, instance="-web")), [])
        self.assertEqual(told(job(1, opcode="OP_NODE_EVACUATE")), [])
        for given_ in (
            {"OP_ID": "OP_INSTANCE_MULTI_ALLOC", "instances": [{"instance_name": "snf-1"}] * 2},
            {"OP_ID": "OP_INSTANCE_QUERY"},
        ):
            self.assertEqual(told(altered("shutdown", input=given_)), [])

    def test_dry_run(self):
        """What was only tried is not told: nothing came of it."""
        given_ = json.loads(real("shutdown"))["ops"][0]["input"]
        self.assertEqual(len(told(altered("shutdown", input=given_))), 1)
        self.assertEqual(told(altered("shutdown", input=given_ | {"dry_run": True})), [])

    def test_large(self):
        """A message that brokers would not take goes without its large fields."""
        content = altered("shutdown", result="x" * BODY_MAX_BYTES)
        _, body = message(content)
        self.assertEqual((body["instance"], body["status"]), ("snf-42", "success"))
        self.assertNotIn("result", body)


class OtherFamilyTests(SynchronousTestCase):
    def test_network(self):
        """Operations on networks go to their own queue."""
        key, body = message(real("connect"))
        self.assertEqual(key, "ganeti.snf.event.network")
        self.assertEqual((body["type"], body["network"]), ("ganeti-network-status", "snf-net-7"))
        group = "c352be2c-52ab-45d7-a780-d3ac7959fe0d"
        nothing = dict.fromkeys(["subnet", "gateway", "add_reserved_ips", "remove_reserved_ips"])
        self.assertEqual(body["job_fields"], {**nothing, "group_name": group})

    def test_cluster(self):
        """Of operations on the cluster only changed parameters are told."""
        key, body = message(real("cluster"))
        self.assertEqual((key, body["type"]), ("ganeti.event.cluster", "ganeti-cluster-status"))
        self.assertEqual(set(body), COMMON)
        other = altered("cluster", input={"OP_ID": "OP_CLUSTER_VERIFY"})
        self.assertEqual(told(other), [])

    def test_tags(self):
        """Tags of instances are told once they are set; those of other objects never."""
        key, body = message(real("tags"))
        self.assertEqual((key, body["type"]), ("ganeti.snf.event.op", "ganeti-op-status"))
        self.assertEqual(body["tags"], ["synnefo:network:snf-nic-5:protected", "cyclades:user:a"])
        self.assertEqual(body["job_fields"], {"dry_run": None})
        for status in STATUSES[:4]:
            self.assertEqual(told(altered("tags", status=status)), [])
        node = {"OP_ID": "OP_TAGS_SET", "kind": "node", "name": "a-b", "tags": ["x"]}
        self.assertEqual(told(altered("tags", input=node)), [])

    def test_heartbeat(self):
        """A heartbeat tag is answered once, however late its job is read."""
        self.assertEqual(told(altered("heartbeat", status="queued")), [])
        bodies = []
        for status in ("waiting", "running", "success"):
            (beat,) = told(altered("heartbeat", status=status))
            self.assertEqual((beat.routing_key, beat.mark), ("eventd.heartbeat", "waiting"))
            bodies.append({**json.loads(beat.body), "result": None})
        self.assertEqual(bodies[0]["type"], "eventd-heartbeat")
        self.assertEqual(bodies, [bodies[0]] * 3)
        real_tag = json.loads(real("heartbeat"))["ops"][0]["input"] | {"dry_run": False}
        self.assertEqual(told(altered("heartbeat", input=real_tag)), [])


class ReadingTests(SynchronousTestCase):
    """Who reads the messages reads in them what the files say."""

    def test_instance(self):
        """An instance's job: who asked for it, how it ended and why."""
        (only,) = told(real("create"))
        event = parse(only.body)
        self.assertIsInstance(event, OpStatus)
        self.assertEqual(
            (event.cluster, event.instance, event.job_id, event.status, event.intent),
            (CLUSTER, "snf-42", 5, "success", "11112222-3333-4444-5555-666677778888"),
        )
        (failed,) = told(real("create_failed"))
        self.assertIn("Could not add os", parse(failed.body).error)

    def test_others(self):
        """Networks, the cluster, and a sign of life."""
        kinds = [type(parse(told(real(name))[0].body)) for name in ("connect", "cluster", "tags")]
        self.assertEqual(kinds, [NetworkStatus, ClusterStatus, OpStatus])
        (beat,) = told(real("heartbeat"))
        self.assertEqual(parse(beat.body), OtherMessage("eventd-heartbeat"))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=6,
)
OPCODES = st.sampled_from(
    ["OP_INSTANCE_CREATE", "OP_INSTANCE_SNAPSHOT", "OP_NETWORK_ADD", "OP_TAGS_SET", "OP_TAGS_DEL",
     "OP_CLUSTER_SET_PARAMS", "OP_INSTANCE_", "OP", "", "OP_TAGS"]
)  # fmt: skip


@st.composite
def mutated(draw):
    """A job file of which one or several fields hold anything."""
    document = json.loads(job(7, draw(st.sampled_from(STATUSES))))
    op = document["ops"][0]
    op["input"]["OP_ID"] = draw(OPCODES)
    fields = ["tags", "kind", "name", "reason", "disks", "instances", "instance_name", "dry_run"]
    for name in draw(st.lists(st.sampled_from(fields), max_size=4)):
        op["input"][name] = draw(VALUES)
    for place in draw(st.lists(st.sampled_from([document, op]), max_size=3)):
        place[draw(st.sampled_from(sorted(place)))] = draw(VALUES)
    return json.dumps(document).encode()


class GarbageTests(SynchronousTestCase):
    """Whatever the file holds, it is told or refused; nothing else happens."""

    def read(self, content: bytes) -> None:
        try:
            for each in told(content):
                json.loads(each.body.decode("ascii"))
                self.assertLessEqual(len(each.body), BODY_MAX_BYTES)
                self.assertLess(len(each.routing_key), 120)
        except BadJobFile as error:
            self.assertLess(len(str(error)), 500)

    @given(st.binary(max_size=200))
    def test_octets(self, content):
        """Octets of any kind."""
        self.read(content)

    @given(mutated())
    @settings(max_examples=300, deadline=None)
    def test_fields(self, content):
        """Job files with fields that hold anything."""
        self.read(content)

    @given(st.data())
    def test_cut(self, data):
        """Files that are cut, or in which an octet was changed."""
        content = bytearray(real("create"))
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
        self.read(bytes(content))
        self.read(bytes(content[:at]))

    def test_extremes(self):
        """Deep nesting, numbers beyond JSON, and surrogates."""
        deep = b"[" * 50_000 + b"]" * 50_000
        self.assertRaises(BadJobFile, read_job, deep)
        for value in (b"NaN", b"1e999", b"-Infinity", b"9" * 5000):
            content = real("create").replace(b'["node1.gnt21.example"]', value)
            self.assertNotEqual(content, real("create"))
            self.assertRaises(BadJobFile, read_job, content)
        for depth in range(100, 1000, 20):
            nested = b"[" * depth + b"]" * depth
            self.read(real("create").replace(b'["node1.gnt21.example"]', nested))
        self.read(job(1, instance="snf-\ud800"))
        self.read(job(1, instance="\ud800-1"))
