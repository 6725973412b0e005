"""Starting: options, launch files, and how a start that cannot be is refused."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.service import ROLES
from synnefo_tx.settings import Console, Demo, Http, Settings, SettingsError
from synnefo_tx.starting import CannotStart, check_exposure, lock_home, make_home
from synnefo_tx.tap import Options

ROOT = Path(__file__).parent.parent
TWISTD = Path(sys.executable).with_name("twistd")


STEADY = """
import os, time
from synnefo_tx import {module}
from twisted.internet import reactor
options = {module}.Options()
options.parseOptions([])
{module}.makeService(options)
ending = reactor.callLater(0.05, reactor.stop)
assert 0 < ending.getTime() - time.monotonic() < 0.05, ending.getTime()
reactor.run()
"""
"""A process as twistd makes it, until a timer ends it."""


class ClockTests(SynchronousTestCase):
    def test_steady(self) -> None:
        """A process and its workers wait by a clock that nobody sets: a step of the time of day
        neither holds their timers nor ends them."""
        home = self.mktemp()
        environ = {**os.environ, "SYNNEFO_HOME": home, "PROMETHEUS_MULTIPROC_DIR": home}
        for module in ("tap", "worker"):
            ran = subprocess.run(
                [sys.executable, "-c", STEADY.format(module=module)],
                env=environ, cwd=ROOT, capture_output=True, text=True, timeout=60,
            )  # fmt: skip
            self.assertEqual(ran.returncode, 0, ran.stderr)


class OptionsTests(SynchronousTestCase):
    def test_roles(self) -> None:
        """Without --role a process does everything; an unknown role is refused."""
        options = Options()
        options.parseOptions([])
        self.assertEqual(options["roles"], list(ROLES))
        options = Options()
        options.parseOptions(["--role", "api", "--role", "timers"])
        self.assertEqual(options["roles"], ["api", "timers"])
        self.assertRaises(UsageError, Options().parseOptions, ["--role", "x"])

    def test_launch_files(self) -> None:
        """Every launch file makes an application."""
        self.patch(reactor, "seconds", reactor.seconds)
        files = sorted((ROOT / "tap").glob("*.tac"))
        # The event source is of no use without a broker, and says so.
        self.patch(os, "environ", {**os.environ, "SYNNEFO_BROKER__URLS": "amqp://a:b@localhost"})
        self.assertEqual(len(files), 5)
        for path in files:
            namespace: dict = {}
            exec(compile(path.read_text(), path, "exec"), namespace)
            self.assertIn("application", namespace)


class ExposureTests(SynchronousTestCase):
    def test_demo(self) -> None:
        """The demo refuses any address but loopback."""
        for wrong in (
            Settings(demo=Demo(enabled=True), http=Http(host="0.0.0.0")),
            Settings(demo=Demo(enabled=True), console=Console(host="192.0.2.1")),
        ):
            self.assertRaises(SettingsError, check_exposure, wrong)
        check_exposure(Settings(demo=Demo(enabled=True)))

    def test_plain_http(self) -> None:
        """Plain HTTP is served on loopback or behind a listed proxy only."""
        self.assertRaises(SettingsError, check_exposure, Settings(http=Http(host="0.0.0.0")))
        behind = Http(host="192.0.2.1", trusted_proxies=("192.0.2.7",))
        check_exposure(Settings(http=behind))


class DescriptorTests(SynchronousTestCase):
    def limits_after(self, soft: int, hard: int) -> list[int]:
        text = (
            "import resource; from synnefo_tx.starting import allow_connections;"
            f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard})); allow_connections();"
            "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
        )
        ran = subprocess.run([sys.executable, "-c", text], capture_output=True, check=True)
        return [int(word) for word in ran.stdout.split()]

    def test_raised(self) -> None:
        """A process has as many connections as it may, not the 1024 that systems begin with."""
        self.assertEqual(self.limits_after(256, 4096), [4096, 4096])

    def test_left(self) -> None:
        """A limit that nobody may raise is left as it is."""
        self.assertEqual(self.limits_after(512, 512), [512, 512])


class HomeTests(SynchronousTestCase):
    def test_lock(self) -> None:
        """A second process on one home is refused."""
        home = Path(self.mktemp())
        make_home(home)
        with lock_home(home):
            error = self.assertRaises(CannotStart, lock_home, home)
        self.assertIn("SYNNEFO_HOME", str(error))
        lock_home(home).close()

    def test_not_a_folder(self) -> None:
        """A home that cannot be made is named."""
        path = Path(self.mktemp())
        path.write_text("")
        error = self.assertRaises(CannotStart, make_home, path / "below")
        self.assertIn(str(path), str(error))


class RefusedStartTests(SynchronousTestCase):
    """Real processes: one line on standard error, and a status other than 0."""

    def start(self, **environ: str) -> tuple[int, str]:
        home = Path(self.mktemp()).absolute()
        self.addCleanup(shutil.rmtree, home, True)
        done = subprocess.run(
            [sys.executable, TWISTD, "-n", "--pidfile=", "synnefo"],
            env=os.environ | {"SYNNEFO_HOME": str(home)} | environ,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        lines = [line for line in done.stderr.splitlines() if line.startswith("synnefo: ")]
        self.assertEqual(len(lines), 1, done.stderr)
        return done.returncode, lines[0]

    def test_port_taken(self) -> None:
        """A taken port is named with the setting that changes it."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = str(taken.getsockname()[1])
            status, line = self.start(SYNNEFO_HTTP__PORT=port)
        self.assertNotEqual(status, 0)
        self.assertIn(port, line)
        self.assertIn("SYNNEFO_HTTP__PORT", line)

    def test_broken_settings(self) -> None:
        """A wrong setting is named."""
        status, line = self.start(SYNNEFO_HTTP__PORT="x")
        self.assertNotEqual(status, 0)
        self.assertIn("SYNNEFO_HTTP__PORT", line)

    def test_no_database(self) -> None:
        """A database that is not there is told."""
        url = "postgresql://nobody@/none?host=/nonexistent"
        status, line = self.start(SYNNEFO_DATABASE__URL=url)
        self.assertNotEqual(status, 0)
        self.assertIn("database", line)
