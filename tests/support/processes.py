"""Programs of the project as processes of their own: started, waited for, killed.

Tests that need a real ``twistd`` use these; whatever they start is gone when ``end`` returns.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.internet.utils import getProcessOutputAndValue

from synnefo_tx import settings
from synnefo_tx.settings import Settings

reactor: Any = _reactor
BIN = Path(sys.executable).parent
OUTPUT_MAX_BYTES = 64 * 1024
READY_LIMIT_SECONDS = 60.0
END_LIMIT_SECONDS = 30.0


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes whose command line or environment names the folder."""
    return list(numbered_processes_of(folder).values())


def numbered_processes_of(folder: Path) -> dict[int, str]:
    """The same by process number."""
    found = {}
    for each in Path("/proc").glob("[0-9]*"):
        try:
            command = (each / "cmdline").read_bytes()
            known = command + (each / "environ").read_bytes()
        except OSError:
            continue  # it ended meanwhile, or is another user's
        if str(folder).encode() in known:
            found[int(each.name)] = command.replace(b"\0", b" ").decode()
    return found


class CommandFailed(AssertionError):
    """A program ended otherwise than it should; the text has what it wrote."""


class Child(ProcessProtocol):
    """A process; ``ended`` fires with its exit code (None after a signal) when it is gone."""

    process: Any

    def __init__(self) -> None:
        self.output = b""
        self.ended: Deferred[int | None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.output = (self.output + data)[-OUTPUT_MAX_BYTES:]

    errReceived = outReceived

    def processEnded(self, reason: Any) -> None:
        self.ended.callback(reason.value.exitCode)


async def until(condition: Any, seconds: float, what: str) -> Any:
    """The first true value of ``await condition()``; fails after ``seconds``."""
    deadline = reactor.seconds() + seconds
    while True:
        value = await condition()
        if value:
            return value
        if reactor.seconds() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        await deferLater(reactor, 0.1)


class Twistd:
    """A service of the project in the foreground, started as often as a test wants."""

    def __init__(self, environ: dict[str, str], *arguments: str) -> None:
        self.environ = environ
        self._command = [
            sys.executable, str(BIN / "twistd"), "-n", "--pidfile=", *arguments,
        ]  # fmt: skip
        self.child: Child | None = None

    def start(self) -> Child:
        """Start it."""
        self.child = child = Child()
        child.process = reactor.spawnProcess(
            child, self._command[0], self._command, env={**os.environ, **self.environ}
        )
        return child

    def replace_option(self, name: str, value: str) -> None:
        """Give an option of the command line another value from the next start on."""
        self._command[self._command.index(name) + 1] = value

    async def wait_output(self, text: bytes) -> None:
        """Wait until it has written ``text``. Raises CommandFailed when it ends before."""

        async def seen() -> bool:
            assert self.child is not None
            if self.child.ended.called:
                raise CommandFailed(self.child.output.decode())
            return text in self.child.output

        await until(seen, READY_LIMIT_SECONDS, f"output of {text!r}")

    async def end(self, signal: str = "TERM") -> None:
        """Send a signal and wait for the end; a process that does not end is killed."""
        child, self.child = self.child, None
        if child is None or child.ended.called:
            return
        child.process.signalProcess(signal)
        killing = reactor.callLater(END_LIMIT_SECONDS, child.process.signalProcess, "KILL")
        await child.ended
        if killing.active():
            killing.cancel()


PLENTY = "1000000000"
RATES = {
    f"RATES__{name}": PLENTY
    for kind in ("READ", "WRITE", "CREATE", "LOGIN")
    for name in (f"{kind}_PER_MINUTE", f"{kind}_BURST")
}
"""Load from one place by few users: rates are counted and never met."""


class CloudProcess(Twistd):
    """``twistd synnefo`` on a home of its own, with an embedded PostgreSQL and free ports."""

    def __init__(self, home: Path, changes: dict[str, str], *arguments: str) -> None:
        http, console = free_ports(2)
        environ = {
            "SYNNEFO_HOME": str(home),
            "SYNNEFO_HTTP__PORT": str(http),
            "SYNNEFO_CONSOLE__PORT": str(console),
            **{f"SYNNEFO_{name}": value for name, value in (RATES | changes).items()},
        }
        super().__init__(environ, "--logger", "synnefo_tx.log.synnefo_file", "synnefo", *arguments)
        self.home = home
        self.settings: Settings = settings.load(environ)
        self.url = self.settings.site_url

    async def start_ready(self) -> None:
        """Start it and wait until it serves."""
        self.start()
        await self.wait_output(b"ready http://")

    async def manage(self, *arguments: str, typed: str = "") -> Any:
        """What ``snf-manage`` writes as JSON; ``typed`` is its input. Raises CommandFailed."""
        command: Sequence[str] = [*arguments, "--output-format", "json"]
        out, err, code = await getProcessOutputAndValue(
            str(BIN / "snf-manage"),
            command,
            env={**os.environ, **self.environ},
            reactor=reactor,
            stdinBytes=typed.encode() or None,
        )
        if code != 0:
            raise CommandFailed(f"snf-manage {arguments[0]}: {code}: {err.decode()[-2000:]}")
        return json.loads(out) if out.strip() else None
