"""Bodies of messages: what they mean, and that nothing else comes of any bytes."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti import messages
from synnefo_tx.ganeti.messages import (
    BuildProgress,
    ClusterStatus,
    ImageReport,
    MalformedMessage,
    NetworkStatus,
    OpStatus,
    OtherMessage,
    parse,
)

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
STAMP = [int(WHEN.timestamp()), 678]
INTENT = "5d1c1f3a-7c1e-4f0e-9d5e-6b1f4d0a2c11"
OP = {
    "type": "ganeti-op-status",
    "event_time": STAMP,
    "operation": "OP_INSTANCE_STARTUP",
    "status": "success",
    "cluster": "alpha.example",
    "jobId": 12,
    "instance": "snf-7",
    "logmsg": None,
    "result": None,
    "job_fields": {},
    "tags": [],
}


def body(document, **changes) -> bytes:
    return json.dumps({**document, **changes}).encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
IMAGE = {"event_time": STAMP, "instance": "snf-7", "timestamp": 1.5}


class StatusTests(SynchronousTestCase):
    """Jobs on clusters."""

    def test_op_status(self):
        """The original's message, and the fields that our own source of events adds."""
        plain = OpStatus("alpha.example", "snf-7", "OP_INSTANCE_STARTUP", "success", 12, WHEN)
        self.assertEqual(parse(body(OP)), plain)
        event = parse(body(OP, intent=INTENT.upper(), status="error", error="no node", logmsg="x"))
        self.assertEqual((event.intent, event.error, event.log), (INTENT, "no node", "x"))

    def test_reason_of_the_result(self):
        """Without an error of its own, a failure says what the opcode's result says."""
        failed = {"status": "error", "result": ["OpPrereqError", ["no room", "insufficient"]]}
        self.assertEqual(parse(body(OP, **failed)).error, "no room")
        self.assertEqual(parse(body(OP, status="canceled")).error, "the job was canceled")
        self.assertIn("without a reason", parse(body(OP, status="error")).error)

    def test_other_reason(self):
        """A reason that is no intent's id is none; the news is a foreign job's."""
        self.assertIsNone(parse(body(OP, intent="reconcile-servers")).intent)

    def test_network_and_cluster(self):
        """Jobs on networks and on the cluster itself."""
        network = body(OP, type="ganeti-network-status", network="snf-net-3")
        self.assertIsInstance(parse(network), NetworkStatus)
        cluster = body(OP, type="ganeti-cluster-status", operation="OP_CLUSTER_SET_PARAMS")
        self.assertIsInstance(parse(cluster), ClusterStatus)

    def test_other_types(self):
        """A type that means nothing here is no error."""
        self.assertEqual(parse(body(OP, type="eventd-heartbeat")), OtherMessage("eventd-heartbeat"))

    def test_malformed(self):
        """A field that is missing or of another kind makes the message unreadable."""
        for changes in (
            {"jobId": "12"},
            {"jobId": True},
            {"jobId": 0},
            {"jobId": 2**63},
            {"status": "sleeping"},
            {"status": ["success"]},
            {"instance": "snf 7"},
            {"instance": "snf-7\0"},
            {"instance": "\ud800"},
            {"cluster": None},
            {"operation": "startup"},
            {"event_time": 17.5},
            {"event_time": [1, 2, 3]},
            {"event_time": [1, 1_000_000]},
            {"event_time": [10**30, 0]},
            {"intent": 5},
            {"type": None},
        ):
            self.assertRaises(MalformedMessage, parse, body(OP, **changes))
        for key in ("cluster", "instance", "operation", "status", "jobId", "event_time"):
            document = {name: value for name, value in OP.items() if name != key}
            self.assertRaises(MalformedMessage, parse, body(document))

    def test_not_told(self):
        """What is wrong with a message is told without its content, which may be secret."""
        error = self.assertRaises(MalformedMessage, parse, body(OP, instance="hidden secret"))
        self.assertNotIn("hidden", str(error))

    def test_text_for_the_database(self):
        """Texts have no octets that the database refuses, and are not too long."""
        event = parse(body(OP, status="error", error="a\0b\ud800" + "x" * 9999))
        self.assertTrue(event.error.startswith("a\ufffdb?x"))
        self.assertEqual(len(event.error), messages.TEXT_MAX_CHARACTERS)


class ImageTests(SynchronousTestCase):
    """The image installer's messages."""

    def report(self, **fields) -> ImageReport:
        return parse(body(IMAGE, **fields))

    def test_progress(self):
        """The whole part of the percentage, at most 100."""
        for told, percent in (
            (0, 0),
            (41.9, 41),
            (100.0, 100),
            (250, 100),
            (10**400, 100),
            (-3, -1),
        ):
            event = parse(body(IMAGE, type="image-copy-progress", progress=told))
            self.assertEqual(event, BuildProgress("snf-7", percent, WHEN))
        for told in ("50", None, True, float("nan"), float("inf")):
            wrong = body(IMAGE, type="image-copy-progress", progress=told)
            self.assertRaises(MalformedMessage, parse, wrong)

    def test_levels_and_sources(self):
        """Source and level follow type and subtype."""
        for fields, expected in (
            ({"type": "image-info"}, ("image-info", "DEBUG")),
            ({"type": "image-warning"}, ("image-warning", "WARNING")),
            ({"type": "image-error"}, ("image-error", "ERROR")),
            ({"type": "image-helper", "subtype": "info"}, ("image-helper", "INFO")),
            ({"type": "image-helper", "subtype": "warning"}, ("image-helper", "WARNING")),
            ({"type": "image-helper", "subtype": "error"}, ("image-helper", "ERROR")),
        ):
            report = self.report(messages=["a", "b"], stderr="trace", **fields)
            self.assertEqual((report.source, report.level), expected)
            self.assertEqual((report.message, report.details), ("a b", "trace"))

    def test_tasks(self):
        """A task's begin and end are told by its name."""
        report = self.report(type="image-helper", subtype="task-start", task="FixPartitionTable")
        self.assertEqual(
            (report.source, report.level, report.message),
            ("image-helper-task-start", "DEBUG", "FixPartitionTable"),
        )

    def test_without_messages(self):
        """A report that says nothing says what it is."""
        self.assertEqual(self.report(type="image-error", stderr="x").message, "image error")


class AnyBytesTests(SynchronousTestCase):
    """Whatever the broker brings."""

    def survives(self, data: bytes) -> None:
        try:
            parse(data)
        except MalformedMessage:
            return

    @given(st.binary(max_size=400))
    @example(b"[" * 100_000)
    @example(b'{"type":' + b"9" * 5000 + b"}")
    @example(b"\xff\xfe{\0}\0")
    def test_bytes(self, data):
        """Any bytes are an event or malformed."""
        self.survives(data)

    @given(
        st.sampled_from(sorted(messages._READERS)),
        st.dictionaries(
            st.sampled_from([*OP, "network", "intent", "error", "progress", "subtype", "task",
                             "messages", "stderr"]),
            json_values,
        ),
    )  # fmt: skip
    def test_fields(self, kind, fields):
        """Any values of any fields are an event or malformed."""
        self.survives(body({**OP, **IMAGE, "network": "snf-net-1", **fields}, type=kind))

    @given(st.data())
    def test_mutations(self, data):
        """Any octets of a good message may be changed, doubled or cut."""
        whole = bytearray(body(OP, intent=INTENT, status="error"))
        for _ in range(data.draw(st.integers(1, 5))):
            at = data.draw(st.integers(0, len(whole) - 1))
            whole[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
            whole = whole or bytearray(b"x")
        self.survives(bytes(whole))
