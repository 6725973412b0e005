"""Starting ``twistd synnefo-eventd``: what it needs, and what it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase, TestCase

from synnefo_tx.ganeti.eventd.tap import Options, build
from synnefo_tx.settings import BrokerSettings, Eventd, Settings, SettingsError
from tests.ganeti.eventd.support import NodeFolder
from tests.support.processes import Twistd, free_ports

HEAVY = ("klein", "treq", "txpostgres", "psycopg2", "autobahn", "argon2")
BROKER = BrokerSettings(urls=("amqp://guest:canary@localhost:1",))


class LightTests(SynchronousTestCase):
    def test_imports(self):
        """A Ganeti master needs neither PostgreSQL's client nor the HTTP stack."""
        code = (
            "import sys, synnefo_tx.ganeti.eventd.tap\n"
            f"print([each for each in {HEAVY!r} if each in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        self.assertEqual((done.stdout, done.stderr), ("[]\n", ""))


class SettingsTests(SynchronousTestCase):
    def test_refused(self):
        """Settings that cannot work are refused with the setting's name, without the password."""
        for name, wrong in {
            "broker.urls": Settings(),
            "broker": Settings(broker=BrokerSettings(urls=("http://guest:canary@x",))),
            "pending_max": Settings(broker=BROKER, eventd=Eventd(pending_max=0)),
        }.items():
            error = str(self.assertRaises(SettingsError, build, wrong, reactor))
            self.assertIn(name, error)
            self.assertNotIn("canary", error)

    def test_options(self):
        """The settings file is named as for the cloud."""
        options = Options()
        options.parseOptions(["--config", "/etc/x.toml"])
        self.assertEqual(options["config"], "/etc/x.toml")


class ProcessTests(TestCase):
    def setUp(self):
        self.home = Path(self.mktemp()).absolute()
        self.node = NodeFolder(self.home / "node")
        (port,) = free_ports(1)
        own = self.node.settings()
        self.environ = {
            "SYNNEFO_HOME": str(self.home),
            "SYNNEFO_BROKER__URLS": f"amqp://guest:canary@127.0.0.1:{port}",
            "SYNNEFO_EVENTD__QUEUE_FOLDER": own.queue_folder,
            "SYNNEFO_EVENTD__SSCONF_FOLDER": own.ssconf_folder,
            "SYNNEFO_EVENTD__NODE_NAME": own.node_name,
            "SYNNEFO_EVENTD__STOP_LIMIT_SECONDS": "1",
        }

    async def test_starts_without_broker(self):
        """It starts while no broker is there, and SIGTERM ends it all the same, in good order."""
        twistd = Twistd(self.environ, "synnefo-eventd")
        self.addCleanup(twistd.end)
        child = twistd.start()
        await twistd.wait_output(b"this node is master")
        await twistd.wait_output(b"no broker for")
        await twistd.end("TERM")
        # twistd ends by the signal that stopped it, after the services have stopped.
        self.assertEqual(await child.ended, None)
        self.assertIn(b"stopped\n", child.output.replace(b"stopped before", b""))
        self.assertNotIn(b"canary", child.output)
        self.assertNotIn(b"Traceback", child.output)

    def test_refused_start(self):
        """A start without broker settings ends with one line."""
        environ = os.environ | self.environ
        del environ["SYNNEFO_BROKER__URLS"]
        twistd = Path(sys.executable).with_name("twistd")
        done = subprocess.run(
            [sys.executable, twistd, "-n", "--pidfile=", "synnefo-eventd"],
            env=environ, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("synnefo-eventd: broker.urls names no broker", done.stderr)
        self.assertNotIn("Traceback", done.stderr)
