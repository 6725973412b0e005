"""``make run``: the whole cloud in the foreground, with a Ganeti cluster in memory beside it.

Two children: the cluster, which outlives a crash of the cloud as a real one would, and
``twistd synnefo``. Both get a signal when this process dies, however it dies, and both are stopped
when either ends.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

STOP_LIMIT_SECONDS = 30.0
LOOK_SECONDS = 0.1


def main() -> int:
    """Start, wait, stop; the exit status of the cloud."""
    home = Path(os.environ.get("SYNNEFO_HOME") or "var").absolute()
    environ = {
        **os.environ,
        "SYNNEFO_HOME": str(home),
        "SYNNEFO_DEMO__ENABLED": "true",
    }
    state = home / "ganeti"
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        return _refuse(f"cannot make {state}: {error.strerror}; set SYNNEFO_HOME")
    if not os.access(state, os.W_OK | os.X_OK):
        return _refuse(f"{state} cannot be written: change its owner, or set SYNNEFO_HOME")
    end_stray(state)
    stopping = Stopping()
    (state / "rapi.json").unlink(missing_ok=True)
    cluster = start(cluster_command(state), environ)
    (state / "pid").write_text(str(cluster.pid))
    cloud = start(cloud_command(), environ)
    while not stopping.asked and cloud.poll() is None:
        if cluster.poll() is not None:
            _refuse("the cluster in memory ended by itself; its log is ganeti.log")
            break
        time.sleep(LOOK_SECONDS)
    status = stop(cloud)
    stop(cluster)
    (state / "pid").unlink(missing_ok=True)
    return 0 if stopping.asked else status or 1


class Stopping:
    """Whether a signal asked us to stop."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def _refuse(text: str) -> int:
    print(f"synnefo: {text}", file=sys.stderr)  # noqa: T201
    return 1


def twistd(*arguments: str) -> list[str]:
    """A twistd in the foreground that keeps no pid file: a stale one would stop the start."""
    program = Path(sys.executable).with_name("twistd")
    return [sys.executable, str(program), "-n", "--pidfile=", *arguments]


def cluster_command(state: Path) -> list[str]:
    """The cluster in memory, on a free port of its own."""
    log = ["--logger", "synnefo_tx.log.ganeti_file"]
    options = ["--port", str(free_port()), "--state", str(state)]
    return twistd(*log, "synnefo-memory-ganeti", *options)


def cloud_command() -> list[str]:
    """The cloud with all roles."""
    return twistd("--logger", "synnefo_tx.log.synnefo_file", "synnefo")


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(command: Sequence[str], environ: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a child that is told to end when we die, in a group that Ctrl-C does not reach."""
    dying = ["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []
    return subprocess.Popen([*dying, *command], env=environ, start_new_session=True)  # noqa: S603


def stop(child: subprocess.Popen[bytes]) -> int:
    """Ask a child to end, insist if it does not; its exit status."""
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return child.returncode


def end_stray(state: Path) -> None:
    """End a cluster that an earlier run left behind, if its number is still such a one's."""
    try:
        pid = int((state / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return
    if b"synnefo-memory-ganeti" not in command or str(state).encode() not in command:
        return
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_LIMIT_SECONDS
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
