"""Enumeration: one fault at each gate of a use case, then restart, rest, and the invariants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred

from tests.simulation import invariants
from tests.simulation.client import Answer
from tests.simulation.gates import MESSAGE, POSSIBLE, Fault, Gate
from tests.simulation.invariants import Broken
from tests.simulation.scenario import User, base, server_at_rest, settle
from tests.simulation.world import Saved, World

DECIDING = frozenset({"commit", "request", "reply"})
"""Gates at which each fault leaves something else behind."""
RESTART_SECONDS = 1.0
LOOK_SECONDS = 3.0


@frozen
class UseCase:
    """A request, what it begins from, and what it promises when it was accepted.

    ``kept`` is what a server is when nothing happened; ``reached`` tells the accepted effect.
    """

    name: str
    saved: Callable[[], Saved]
    ask: Callable[[World], Deferred[Answer]]
    reached: Callable[[dict[str, Any]], bool]
    kept: Callable[[dict[str, Any]], bool]


def _server(world: World) -> int:
    return int(world.facts["server"])


def _operates(state: str) -> Callable[[dict[str, Any]], bool]:
    return lambda found: found["operstate"] == state


USE_CASES = {
    each.name: each
    for each in (
        UseCase(
            "create",
            base,
            lambda world: User(world).create(),
            _operates("STARTED"),
            lambda found: not found,
        ),
        UseCase(
            "start",
            lambda: server_at_rest("STOPPED"),
            lambda world: User(world).act(_server(world), start={}),
            _operates("STARTED"),
            _operates("STOPPED"),
        ),
        UseCase(
            "stop",
            lambda: server_at_rest("STARTED"),
            lambda world: User(world).act(_server(world), shutdown={}),
            _operates("STOPPED"),
            _operates("STARTED"),
        ),
        UseCase(
            "resize",
            lambda: server_at_rest("STOPPED"),
            lambda world: User(world).act(
                _server(world), resize={"flavorRef": world.facts["large"]}
            ),
            lambda found: found["ram_mib"] == 1024,
            lambda found: found["ram_mib"] == 512,
        ),
        UseCase(
            "console",
            lambda: server_at_rest("STARTED"),
            lambda world: User(world).act(_server(world), console={"type": "vnc-wss"}),
            _operates("STARTED"),
            _operates("STARTED"),
        ),
        UseCase(
            "delete",
            lambda: server_at_rest("STOPPED"),
            lambda world: User(world).delete(_server(world)),
            _operates("DESTROYED"),
            _operates("STOPPED"),
        ),
    )
}


@frozen
class Point:
    """A fault at the gate with this number, counted from the request."""

    gate: int
    fault: Fault

    def __str__(self) -> str:
        return f"{self.gate}:{self.fault.name}"


@frozen
class Run:
    """What a run came to."""

    digest: str
    gates: tuple[str, ...]
    lines: tuple[str, ...]


def run(
    case: UseCase, seed: str, point: Point | None, *, messages: bool = False,
    keeps_lines: bool = False,
) -> Run:  # fmt: skip
    """One run; raises Broken or SimulationError, with what is needed to see it again."""
    world = World(seed, case.saved(), messages=messages)
    world.keeps_lines = keeps_lines
    try:
        kinds = _play(world, case, point)
    except Exception as error:
        error.add_note(f"see it again: {replay(case, seed, point, messages)}")
        if keeps_lines:
            error.add_note("\n".join(world.lines))
        raise
    finally:
        world.end()
    return Run(world.digest, tuple(kinds), tuple(world.lines))


def replay(case: UseCase, seed: str, point: Point | None, messages: bool) -> str:
    """The command that repeats a run."""
    at = "" if point is None else f" --at {point}"
    at += " --messages" if messages else ""
    return f"python -m tests.simulation.replay --seed {seed} --case {case.name}{at}"


def _play(world: World, case: UseCase, point: Point | None) -> list[str]:
    world.after_commit = lambda: invariants.after_commit(world)
    world.start()
    world.run(lambda: world.is_quiet, 30)
    kinds: list[str] = []
    in_transaction = False

    def choose(gate: Gate) -> Fault | None:
        nonlocal in_transaction
        inner = gate.kind == "sql" and in_transaction
        in_transaction = gate.kind == "begin" or inner
        kinds.append("statement" if inner else gate.kind)
        return point.fault if point is not None and len(kinds) == point.gate else None

    world.choose = choose
    asked = case.ask(world)
    _rest(world)
    world.heal()
    invariants.at_rest(world)
    _check_promise(world, case, world.result(asked))
    return kinds


def _rest(world: World) -> None:
    """Restart what died, and go on until nothing is under way."""
    world.wait(LOOK_SECONDS)
    settle(world)
    while not world.controllers:
        world.wait(RESTART_SECONDS)
        world.start()
        world.wait(LOOK_SECONDS)
        settle(world)


FOUND = """
SELECT s.operstate, f.ram_mib, (SELECT count(*) FROM server_diagnostics WHERE server = s.id)
FROM servers s JOIN flavors f ON f.id = s.flavor
"""


def _check_promise(world: World, case: UseCase, answer: Answer) -> None:
    """INV10: what was accepted has one effect or an error with a reason, what was refused none."""
    rows = world.postgres.run(FOUND).rows
    if len(rows) > 1:
        raise Broken(f"INV10 {case.name} had two effects: {rows}")
    found = dict(zip(("operstate", "ram_mib", "reasons"), rows[0], strict=True)) if rows else {}
    reached = bool(found) and (case.reached(found) or bool(found["reasons"]))
    kept = case.kept(found)
    if answer.accepted and not reached:
        raise Broken(f"INV10 {case.name} was accepted, and nothing came of it: {found}")
    if not answer.accepted and not answer.is_unknown and not kept:
        raise Broken(f"INV10 {case.name} was refused ({answer.text}), yet there is {found}")
    if not reached and not kept:
        raise Broken(f"INV10 {case.name} had half an effect: {found}")


def points(case: UseCase, seed: str, stride: int, *, messages: bool = False) -> Iterator[Point]:
    """All faults at all gates of a case.

    Whatever ends a transaction before its commit leaves the same behind; with a ``stride`` above 1
    only every so manieth statement within a transaction is taken, and one fault in turn at each
    gate but the deciding ones. With
    ``messages`` the faults are those at the gates that messages pass.
    """
    kinds = run(case, seed, None, messages=messages).gates
    for number, kind in enumerate(kinds, start=1):
        faults = POSSIBLE["sql" if kind == "statement" else kind]
        if stride > 1 and kind not in DECIDING:
            faults = (faults[number % len(faults)],)
        if stride > 1 and kind == "statement" and number % stride:
            faults = ()
        if messages and kind not in MESSAGE:
            faults = ()  # the other gates have their turn in the world without messages
        for fault in faults:
            yield Point(number, fault)
