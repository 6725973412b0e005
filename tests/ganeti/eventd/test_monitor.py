"""``snf-progress-monitor``: what an installer writes, on its way to the broker."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.eventd.monitor import WAITING_MAX, Monitor
from synnefo_tx.ganeti.eventd.objects import OBJECT_MAX_CHARACTERS, ObjectStream
from synnefo_tx.ganeti.messages import BuildProgress, parse
from tests.ganeti.eventd.support import HandBroker
from tests.support.processes import free_ports

OBJECTS = st.dictionaries(
    st.text(max_size=5), st.none() | st.integers() | st.text(max_size=9), max_size=4
)


class StreamTests(SynchronousTestCase):
    @given(st.lists(OBJECTS, max_size=6), st.sampled_from(["", " ", "\n"]), st.data())
    def test_pieces(self, objects, between, data):
        """Objects are found in whatever pieces and with whatever between them they come."""
        ascii_only = data.draw(st.booleans())
        text = between.join(json.dumps(each, ensure_ascii=ascii_only) for each in objects)
        content = text.encode("utf-8", "replace")
        expected = [json.loads(each) for each in map(json.dumps, objects)]
        stream, found = ObjectStream(), []
        while content:
            size = data.draw(st.integers(1, len(content)))
            found += stream.feed(content[:size])
            content = content[size:]
        stream.end()
        self.assertEqual((found, stream.skipped), (expected, 0))

    @given(st.lists(st.binary(max_size=50), max_size=5))
    def test_garbage(self, chunks):
        """Garbage does not hide the objects that follow it on lines of their own."""
        stream = ObjectStream()
        for chunk in chunks:
            stream.feed(chunk)
        self.assertIn({"type": "x"}, stream.feed(b'\n{"type": "x"}\n{"type": "x"}\n'))

    def test_skipped(self):
        """What is no object, or too large for one, is left out and counted."""
        stream = ObjectStream()
        self.assertEqual(stream.feed(b'nonsense\n[1]\n{"a": 1}'), [{"a": 1}])
        self.assertEqual(stream.skipped, 2)
        endless = b'{"a": "' + b"x" * OBJECT_MAX_CHARACTERS + b'\n{"b": 2}\n'
        self.assertEqual(stream.feed(endless), [{"b": 2}])
        stream.feed(b'{"a": ')
        stream.end()
        self.assertEqual(stream.skipped, 4)


def progress(percent):
    return {"type": "image-copy-progress", "progress": percent, "position": 1, "total": 2}


class MonitorTests(SynchronousTestCase):
    def setUp(self):
        self.clock, self.broker = Clock(), HandBroker()
        self.clock.advance(1_700_000_000.25)
        self.monitor = Monitor("snf-42", self.broker, self.clock)

    def test_published(self):
        """An object goes out with instance and time, as who reads it expects."""
        self.monitor.add(progress(12.5))
        self.monitor.add({"no": "type"})
        self.assertEqual(self.broker.asked, ["ganeti.snf.event.progress"])
        (body,) = self.broker.confirmed
        self.assertEqual(body["event_time"], [1_700_000_000, 250_000])
        event = parse(json.dumps(body).encode())
        self.assertIsInstance(event, BuildProgress)
        self.assertEqual((event.instance, event.percent), ("snf-42", 12))
        self.assertTrue(self.successResultOf(self.finish()))

    def finish(self):
        return Deferred.fromCoroutine(self.monitor.finish(10.0))

    def test_broker_away(self):
        """While no broker confirms, few messages wait, and errors stay rather than progress."""
        self.broker.away = True
        self.monitor.add(progress(0))
        self.monitor.add({"type": "image-error", "messages": ["broken"]})
        for percent in range(3 * WAITING_MAX):
            self.monitor.add(progress(percent))
        self.broker.come_back()
        told = [each["type"] for each in self.broker.confirmed]
        self.assertEqual(len(told), WAITING_MAX + 1)
        self.assertEqual(told[1], "image-error")
        self.assertEqual(self.broker.confirmed[-1]["progress"], 3 * WAITING_MAX - 1)
        self.assertFalse(self.successResultOf(self.finish()))

    def test_limit(self):
        """At the end it waits for confirms so long, and then says that there was none."""
        self.broker.away = True
        self.monitor.add(progress(1))
        finishing = self.finish()
        self.clock.advance(9.9)
        self.assertNoResult(finishing)
        self.clock.advance(0.2)
        self.assertFalse(self.successResultOf(finishing))

    def test_no_prefix(self):
        """An instance that can be nobody's is refused."""
        self.assertRaises(ValueError, Monitor, "web", self.broker, self.clock)


class ProgramTests(SynchronousTestCase):
    def run_program(self, *arguments, given_input=b"", **environ):
        command = [
            sys.executable, "-c", "from synnefo_tx.ganeti.eventd.monitor import main; main()",
        ]  # fmt: skip
        environ = {"SYNNEFO_HOME": self.mktemp(), **environ}
        return subprocess.run(
            [*command, *arguments],
            env=os.environ | environ, input=given_input, capture_output=True, timeout=60,
        )  # fmt: skip

    def test_no_broker(self):
        """Without a broker it ends within its limit, and its exit status says so."""
        (port,) = free_ports(1)
        url = f"amqp://guest:canary@127.0.0.1:{port}"
        changes = {"SYNNEFO_BROKER__URLS": url, "SYNNEFO_EVENTD__MONITOR_LIMIT_SECONDS": "0.3"}
        content = json.dumps(progress(3)).encode()
        done = self.run_program("snf-42", given_input=content, **changes)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(b"[MONITOR] no broker confirmed within 0.3 s", done.stderr)
        self.assertNotIn(b"canary", done.stderr)
        self.assertNotIn(b"Traceback", done.stderr)

    def test_nothing_to_say(self):
        """Without input nothing is waited for."""
        (port,) = free_ports(1)
        url = f"amqp://guest:canary@127.0.0.1:{port}"
        self.assertEqual(self.run_program("snf-42", SYNNEFO_BROKER__URLS=url).returncode, 0)

    def test_refused(self):
        """Without a broker in the settings, or with a name of nobody's, it does not start."""
        self.assertEqual(self.run_program("snf-42").returncode, 2)
        url = "amqp://guest:canary@127.0.0.1:1"
        done = self.run_program("web", SYNNEFO_BROKER__URLS=url)
        self.assertEqual((done.returncode, done.stdout), (2, b""))
        self.assertIn(b"[MONITOR]", done.stderr)
