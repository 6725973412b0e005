"""The processes below a supervisor: started, heard, restarted with back-off, stopped.

A child's standard input is a pipe from us: we write down it how all children fare, one JSON
document a line, and its end tells the child that we are gone. Down another pipe the child says
``ready``, then ``beat`` once a second.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

REPORT_DESCRIPTOR = 3
SOCKET_DESCRIPTORS = {"api": 4, "console": 5}
READY = b"ready"
BEAT = b"beat"
BEAT_SECONDS = 1.0
SILENCE_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 0.1
PAUSE_MAX_SECONDS = 30.0
# Who served so long did not end for what it met at its start.
SETTLED_SECONDS = 60.0
READY_LIMIT_SECONDS = 60.0
LINE_MAX_BYTES = 4096


class ChildEnded(Exception):
    """A child ended before it served."""


@frozen
class Command:
    """How a child is started: program, environment, and its listening sockets by role."""

    arguments: Sequence[str]
    environ: Mapping[str, str]
    sockets: Mapping[str, int]

    @property
    def descriptors(self) -> dict[int, Any]:
        """What Twisted calls childFDs."""
        inherited = {SOCKET_DESCRIPTORS[role]: number for role, number in self.sockets.items()}
        return {0: "w", 1: 1, 2: 2, REPORT_DESCRIPTOR: "r", **inherited}


class _Pipes(ProcessProtocol):
    """One life of a child."""

    def __init__(self, said: Callable[[bytes], None], ended: Callable[[str], None]) -> None:
        self._said = said
        self._ended = ended
        self._rest = b""

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        *lines, self._rest = (self._rest + data)[-LINE_MAX_BYTES:].split(b"\n")
        for line in lines:
            self._said(line)

    def processEnded(self, reason: Failure) -> None:
        self._ended(str(reason.value))


class Child:
    """A place that is filled again when the process in it ends.

    ``state`` is starting, serving, restarting (it ended by itself), rolling (we ended it) or
    stopping. ``changed`` is called with every change of what ``document`` shows, ``died`` with the
    number of a process that is no more.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        command: Command,
        reactor: Any,
        changed: Callable[[], None],
        died: Callable[[int], None],
    ) -> None:
        self.name = name
        self.state = "stopping"
        self.restarts = 0
        self.pid = 0
        self._command = command
        self._reactor = reactor
        self._changed = changed
        self._died = died
        self._pipes: _Pipes | None = None
        self._ready: Deferred[None] | None = None
        self._ended: list[Deferred[None]] = []
        self._heard = 0.0
        self._served_at = 0.0
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._again: Any = None

    @property
    def is_silent(self) -> bool:
        """Whether a process that serves has said nothing for some seconds."""
        silence = self._reactor.seconds() - self._heard
        return self.state == "serving" and silence > SILENCE_SECONDS

    @property
    def document(self) -> dict[str, Any]:
        """What is told of it."""
        return {
            "name": self.name,
            "state": "silent" if self.is_silent else self.state,
            "restarts": self.restarts,
            "pid": self.pid,
        }

    async def start(self) -> None:
        """Start it and wait until it serves.

        Raises ChildEnded or TimeoutError; a child whose first start failed is not started again.
        """
        ready = self._spawn("starting")
        await ready.addTimeout(READY_LIMIT_SECONDS, self._reactor)

    async def stop(self, limit_seconds: float) -> None:
        """Ask it to end, insist after ``limit_seconds``; harmless when there is none."""
        if self._again is not None and self._again.active():
            self._again.cancel()
        self.state = "stopping"
        self._changed()
        if self._pipes is None:
            return
        self._signal("TERM")
        insisting = self._reactor.callLater(limit_seconds, self._insist)
        ended: Deferred[None] = Deferred()
        self._ended.append(ended)
        await ended
        if insisting.active():
            insisting.cancel()

    async def start_again(self) -> None:
        """Fill the place anew after ``stop``; like ``start``, but one that ends is restarted."""
        await self._spawn("rolling").addTimeout(READY_LIMIT_SECONDS, self._reactor)

    def tell(self, document: Any) -> None:
        """Write down its pipe how all children fare."""
        if self._pipes is not None and self._pipes.transport is not None:
            self._pipes.transport.writeToChild(0, json.dumps(document).encode() + b"\n")

    def _spawn(self, state: str) -> Deferred[None]:
        self.state = state
        ready: Deferred[None] = Deferred(lambda d: None)
        self._ready = ready
        pipes = _Pipes(self._said, self._process_ended)
        command = self._command
        process = self._reactor.spawnProcess(
            pipes,
            command.arguments[0],
            command.arguments,
            env=dict(command.environ),
            childFDs=command.descriptors,
        )
        self._pipes = pipes
        self.pid = int(process.pid)
        self.log.info("process {name} is {process}", name=self.name, process=self.pid)
        self._changed()
        return ready

    def _said(self, line: bytes) -> None:
        was_silent = self.is_silent
        self._heard = self._reactor.seconds()
        if line == READY and self.state != "stopping":
            self.state = "serving"
            self._served_at = self._heard
            self._changed()
            self._answer(None)
        elif was_silent:
            self._changed()

    def _answer(self, result: Failure | None) -> None:
        ready, self._ready = self._ready, None
        if ready is not None and not ready.called:
            ready.callback(None) if result is None else ready.errback(result)

    def _process_ended(self, reason: str) -> None:
        self._pipes = None
        self._died(self.pid)
        if self.state == "stopping":
            self._answer(Failure(ChildEnded(f"{self.name} was stopped")))
            waiting, self._ended = self._ended, []
            for each in waiting:
                each.callback(None)  # may start it anew
            return
        if self.state == "starting":
            self.state = "stopping"
            self._answer(Failure(ChildEnded(f"{self.name} ended before it served")))
            return
        self._restart(reason)

    def _restart(self, reason: str) -> None:
        if self.state == "serving" and self._reactor.seconds() - self._served_at > SETTLED_SECONDS:
            self._pause_seconds = FIRST_PAUSE_SECONDS
        self.state = "restarting"
        self.restarts += 1
        self.log.error(
            "process {name} ended: {reason}; it is started again in {pause} s",
            name=self.name,
            reason=reason,
            pause=self._pause_seconds,
        )
        self._answer(Failure(ChildEnded(f"{self.name} ended before it served")))
        self._again = self._reactor.callLater(self._pause_seconds, self._start_again)
        self._pause_seconds = min(2 * self._pause_seconds, PAUSE_MAX_SECONDS)
        self._changed()

    def _start_again(self) -> None:
        self._spawn("restarting").addErrback(lambda failure: failure.trap(ChildEnded) and None)

    def _signal(self, name: str) -> None:
        if self._pipes is not None and self._pipes.transport is not None:
            self._pipes.transport.signalProcess(name)

    def _insist(self) -> None:
        self.log.error("process {name} did not end; it is killed", name=self.name)
        self._signal(signal.SIGKILL.name.removeprefix("SIG"))
