"""The world: one thread, one clock, one chance; controllers, clusters and clients behind gates.

A call does not happen when it is made: it waits at a gate. The loop picks a waiting gate by chance,
lets it happen or lets a fault happen, and runs what follows; time passes only when no gate waits,
so that a time-out never beats an answer that could be given.
"""

from __future__ import annotations

import hashlib
import io
import random
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, globalLogPublisher

from synnefo_tx.ganeti.broker.memory import MemoryBroker
from synnefo_tx.ganeti.memory import ClusterConfig, MemoryGaneti
from synnefo_tx.ganeti.memory.store import Store
from synnefo_tx.log import observer
from synnefo_tx.settings import Settings
from tests.simulation import probes
from tests.simulation.client import Answer, Client
from tests.simulation.connection import Postgres
from tests.simulation.controller import Controller
from tests.simulation.gates import AWAY_SECONDS, DATABASE, NOT_YET, Fault, Gate
from tests.simulation.messages import EventSource

GATE_SECONDS = 0.0005
"""What passing a gate takes."""
STEPS_MAX = 200_000


class SimulationError(Exception):
    """The world came to a state that no run may come to."""


@frozen
class Saved:
    """A world at rest that others begin from; ``facts`` are what a scenario must know of it."""

    content: str
    seconds: float
    clusters: tuple[Mapping[str, Any], ...]
    facts: Mapping[str, Any]


NOTHING = Saved("empty", 1_700_000_000.0, ({},), {})


class LogBook:
    """What all controllers wrote into their logs, the errors among it, and what kinds of lines."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self.kinds: Counter[str] = Counter()
        self.failures: list[Any] = []
        self._write = observer(self.text, "info")

    def __call__(self, event: LogEvent) -> None:
        self.kinds[event.get("log_format") or ""] += 1
        if event.get("log_failure") is not None:
            self.failures.append(event["log_failure"])
        self._write(event)


class World:
    """A run. ``choose`` says what happens at each gate; without it nothing goes wrong.

    With ``messages`` the clusters tell of their jobs by a broker, beside what is polled; with
    ``follows`` changes are numbered, so that streams can be followed.
    """

    def __init__(
        self, seed: str, saved: Saved = NOTHING, *, settings: Settings | None = None,
        cluster_config: ClusterConfig | None = None, messages: bool = False, follows: bool = False,
    ) -> None:  # fmt: skip
        self.seed = seed
        self.facts = dict(saved.facts)
        self.settings = settings or Settings()
        self.postgres = Postgres.get()
        self.postgres.restore(saved.content)
        self.clock = Clock()
        self.clock.rightNow = saved.seconds
        self.chance = self.chance_of("order")
        self.clusters = [
            self._cluster(number, tables, cluster_config)
            for number, tables in enumerate(saved.clusters)
        ]
        self.broker = MemoryBroker(self.clock)
        self.messages = messages
        self.follows = follows
        if messages:
            self._sources = [EventSource(self, each) for each in self.clusters]
        self.controllers: dict[int, Controller] = {}
        self.choose: Callable[[Gate], Fault | None] = lambda gate: None
        self.after_commit: Callable[[], None] = lambda: None
        self.passed = 0
        self._away_until = 0.0
        self._paused_until: dict[int, float] = {}
        self.lines: list[str] = []
        self.keeps_lines = False
        self.log = LogBook()
        self._waiting: list[Gate] = []
        self._graves: list[object] = []
        self._clients: dict[int, list[Deferred[Answer]]] = {}
        self._sha = hashlib.sha256()
        self._births = 0
        globalLogPublisher.addObserver(self.log)

    def _cluster(
        self, number: int, tables: Mapping[str, Any], config: ClusterConfig | None
    ) -> MemoryGaneti:
        store = Store({name: dict(rows) for name, rows in tables.items()}) if tables else None
        return MemoryGaneti(
            self.clock,
            self.chance_of(f"cluster {number}"),
            config=config or ClusterConfig(name=f"cluster{number}.example"),
            password=f"canary-rapi-password-{number}",
            store=store,
            fetch=self._fetch,
        )

    def chance_of(self, component: str) -> random.Random:
        """The chance of one component, which no other draws from."""
        return random.Random(f"{self.seed}:{component}")

    # Controllers.

    def start(self, number: int = 0, *, timers: bool = True) -> Controller:
        """Start a controller; with ``timers`` it polls, sweeps and reads statistics."""
        if number in self.controllers:
            return self.controllers[number]
        self._births += 1
        chance = self.chance_of(f"controller {number} life {self._births}")
        controller = Controller(
            self,
            number,
            new_id=lambda: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
            entropy=chance.randbytes,
        )
        self.controllers[number] = controller
        if timers:
            controller.start()
        return controller

    def kill(self, number: int) -> None:
        """Kill a controller: nothing is flushed, its transactions roll back, its clients see a
        cut connection."""
        controller = self.controllers.pop(number)
        controller.die()
        lost = [gate for gate in self._waiting if gate.controller == number]
        self._waiting = [gate for gate in self._waiting if gate.controller != number]
        # What died stays referenced: a collected coroutine would run its ``finally``.
        self._graves += [controller, lost]
        for client in self._clients.pop(number, []):
            client.callback(Answer(0, None, ""))

    def pause(self, number: int, seconds: float) -> None:
        """Stop a controller's process for a while; it wakes with what it believed before."""
        self._paused_until[number] = self.clock.seconds() + seconds
        self.clock.callLater(seconds, lambda: None)

    def paused_for(self, number: int) -> float:
        """The seconds until a controller wakes, 0 when it is awake."""
        return max(0.0, self._paused_until.get(number, 0.0) - self.clock.seconds())

    # Clients.

    def request(
        self, method: str, path: str, body: Any = None, *, token: str = "", controller: int = 0,
        key: str = "",
    ) -> Deferred[Answer]:  # fmt: skip
        """Ask a controller over HTTP; status 0 when it dies before it answers."""
        waiting = self._clients.setdefault(controller, [])
        # Who asked may be gone before the answer: the installer of a node that lost its power.
        asked: Deferred[Answer] = Deferred(waiting.remove)
        if controller not in self.controllers:
            asked.callback(Answer(0, None, "refused"))
            return asked
        waiting.append(asked)

        def answered(answer: Answer) -> None:
            if asked in waiting:
                waiting.remove(asked)
                self.note(f"{controller} reply {method} {path} {answer.status}")
                asked.callback(answer)

        self.note(f"{controller} asked {method} {path}")
        client = Client(self.controllers[controller].http)
        client.ask(method, self.settings.site_url + path, body, token, key).addCallback(answered)
        return asked

    async def _fetch(self, url: str) -> bytes:
        """What the OS installer of a node does: ask any controller that lives."""
        if not self.controllers:
            raise ConnectionRefusedError(url)
        path = url.removeprefix(self.settings.site_url)
        answer = await self.request("GET", path, controller=min(self.controllers))
        if answer.status != 200:
            raise ConnectionError(answer.status)
        return answer.text.encode()

    # Gates.

    def wait_at(self, gate: Gate) -> None:
        """Let a call wait until its turn."""
        self._waiting.append(gate)

    def withdraw(self, gate: Gate) -> None:
        """Nobody wants the call any more."""
        if gate in self._waiting:
            self._waiting.remove(gate)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits but time, and those who sleep."""
        awake = [gate for gate in self._waiting if not self.paused_for(gate.controller)]
        clients = any(
            waiting and not self.paused_for(number) for number, waiting in self._clients.items()
        )
        return not awake and self.postgres.owner is None and not clients

    def step(self) -> None:
        """One gate, or the next timer."""
        ready = [
            gate
            for gate in self._waiting
            if gate.is_ready() and not self.paused_for(gate.controller)
        ]
        if ready:
            gate = ready[0] if len(ready) == 1 else self.chance.choice(ready)
            self._waiting.remove(gate)
            self._pass(gate)
            self.clock.advance(GATE_SECONDS)
        elif self.postgres.owner is not None:
            raise SimulationError("a transaction waits for something that is no statement")
        else:
            self.next_timer()
        for controller in list(self.controllers.values()):
            controller.flush()

    def next_timer(self) -> None:
        """Let time pass until something is due."""
        calls = self.clock.getDelayedCalls()
        if not calls:
            raise SimulationError("nothing is left that could ever happen")
        self.clock.advance(max(0.0, calls[0].getTime() - self.clock.seconds()))

    def _pass(self, gate: Gate) -> None:
        self.passed += 1
        fault = self.choose(gate)
        if fault is Fault.AWAY:
            self._away_until = self.clock.seconds() + AWAY_SECONDS
        elif gate.kind in DATABASE and self.clock.seconds() < self._away_until:
            fault = Fault.DROPPED
        if fault is not None:
            self.note(f"{gate.controller} {gate.kind} {fault.name}: {gate.text}")
        if fault is Fault.CRASH:
            self.kill(gate.controller)
            return
        outcome = gate.outcome(fault)
        if fault is None:
            self.note(f"{gate.controller} {gate.kind} {gate.text} -> {self.shown(outcome)}")
        if gate.kind == "commit" and self.postgres.owner is None:
            self.after_commit()
        if fault is Fault.CRASH_AFTER:
            self.kill(gate.controller)
        elif outcome is not NOT_YET:
            gate.answer(outcome)

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self.choose = lambda gate: None
        self._away_until = 0.0
        self.broker.start()
        for cluster in self.clusters:
            cluster.faults.clear()

    def run(self, is_done: Callable[[], bool], limit_seconds: float) -> bool:
        """Go on until ``is_done`` or the time is over; whether it is done."""
        deadline = self.clock.seconds() + limit_seconds
        for _ in range(STEPS_MAX):
            if is_done():
                return True
            if self.clock.seconds() > deadline:
                return False
            self.step()
        raise SimulationError("the world never comes to rest")

    def result(self, work: Deferred[Any] | Coroutine[Any, Any, Any], limit: float = 900) -> Any:
        """Go on until ``work`` has a result; raises what it raises."""
        running = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
        ended: list[Any] = []
        failed: list[Any] = []
        running.addCallbacks(ended.append, failed.append)
        if not self.run(lambda: bool(ended or failed), limit):
            raise SimulationError(f"no result within {limit} s")
        if failed:
            failed[0].raiseException()
        return ended[0]

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        end = self.clock.seconds() + seconds
        self.clock.callLater(seconds, lambda: None)
        self.run(lambda: self.clock.seconds() >= end and self.is_quiet, seconds + 60)

    # The trace.

    def note(self, line: str) -> None:
        """Add a line to the trace."""
        line = f"{self.clock.seconds() - NOTHING.seconds:.4f} {line}"
        self._sha.update(line.encode())
        if self.keeps_lines:
            self.lines.append(line)

    def shown(self, value: Any) -> str:
        """A value as the trace shows it: sealed bytes differ from run to run, their length not."""
        if isinstance(value, bytes | memoryview):
            return f"<{len(value)} bytes>"
        if isinstance(value, Mapping):
            return "{" + ", ".join(f"{k}: {self.shown(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list | tuple):
            return "[" + ", ".join(self.shown(each) for each in value) + "]"
        if hasattr(value, "rows"):
            return f"{value.count} {self.shown(value.rows)}"
        return str(getattr(value, "adapted", value))

    @property
    def digest(self) -> str:
        """SHA-256 of the trace so far."""
        return self._sha.hexdigest()

    # Beginning and end.

    def save(self, name: str) -> Saved:
        """Keep this world, which is at rest, for others to begin from."""
        self.postgres.save(name)
        tables = [
            {table: dict(rows) for table, rows in each.cluster.store.tables.items()}
            for each in self.clusters
        ]
        return Saved(name, self.clock.seconds(), tuple(tables), dict(self.facts))

    def end(self) -> None:
        """Stop everything; what the dead coroutines still do reaches nothing."""
        globalLogPublisher.removeObserver(self.log)
        probes.count(self.log.kinds)
        for number in list(self.controllers):
            self.kill(number)
        for cluster in self.clusters:
            cluster.stop()
        self.postgres.rollback()
