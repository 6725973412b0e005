"""``snf-manage`` as real processes, beside a running service and without one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
START_LIMIT_SECONDS = 60.0


class BesideServiceTests(SynchronousTestCase):
    """The service with its own PostgreSQL in a home of its own."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.addCleanup(shutil.rmtree, self.home, True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.environ = os.environ | {
            "SYNNEFO_HOME": str(self.home),
            "SYNNEFO_HTTP__PORT": str(self.port),
            "SYNNEFO_CONSOLE__PORT": "0",
        }

    def serve(self) -> subprocess.Popen[bytes]:
        """Start the service and wait until it is ready."""
        output = Path(self.mktemp())
        with output.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, BIN / "twistd", "-n", "--pidfile=", "synnefo"],
                env=self.environ, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self.addCleanup(self.end, process)
        deadline = time.monotonic() + START_LIMIT_SECONDS
        while "ready http" not in output.read_text(errors="replace"):
            self.assertIsNone(process.poll(), output.read_text(errors="replace"))
            self.assertLess(time.monotonic(), deadline, "the service does not become ready")
            time.sleep(0.1)
        return process

    def end(self, process: subprocess.Popen[bytes]) -> None:
        """End the service as an operator does."""
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def manage(self, *argv: str) -> Any:
        """What a command that must succeed says as JSON."""
        ran = subprocess.run(
            [sys.executable, BIN / "snf-manage", *argv, "--output-format", "json"],
            env=self.environ, cwd=ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        self.assertEqual((ran.returncode, ran.stderr), (0, ""))
        return json.loads(ran.stdout)

    def health(self) -> int:
        """The status of the running service."""
        url = f"http://127.0.0.1:{self.port}/health"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status

    def test_beside_and_without(self) -> None:
        """Commands work while the service runs, which goes on; and on the same data without it."""
        service = self.serve()
        made = self.manage("user-add", "a@example.org", "A", "B")
        self.assertEqual([row["uuid"] for row in self.manage("user-list")], [made[0]["UUID"]])
        self.assertEqual(self.manage("server-list"), [])
        self.assertIsNone(service.poll())
        self.assertEqual(self.health(), 200)
        self.end(service)
        self.assertEqual([row["uuid"] for row in self.manage("user-list")], [made[0]["UUID"]])
