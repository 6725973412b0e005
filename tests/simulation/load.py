"""Random load on several controllers while things go wrong.

Two modes. *Liveness*: then all faults end, everything comes to rest, and all invariants hold.
*Safety*: far more goes wrong, nothing heals, and no commit may break an invariant.
"""

from __future__ import annotations

import random
import shlex
from typing import Any, Literal

from synnefo_tx.ganeti.memory import CallFault, JobFault, MemoryGaneti
from synnefo_tx.ganeti.memory import Fault as ClusterFault
from synnefo_tx.settings import Compute, Settings
from tests.simulation import followers, invariants
from tests.simulation.client import Answer
from tests.simulation.faults import Run
from tests.simulation.gates import POSSIBLE, Fault, Gate
from tests.simulation.invariants import Broken
from tests.simulation.scenario import User, base, settle
from tests.simulation.world import World
from tests.simulation.writers import COUNT as LATE_WRITERS
from tests.simulation.writers import LateWriter

CONTROLLERS = {"liveness": 2, "safety": 3}
CLUSTERS = 2
REQUESTS = 18
FOLLOWERS_SECONDS = 15.0
# Polls are judged by the machine's own clock, which is years ahead of the world's.
SETTINGS = Settings(compute=Compute(poll_limit_seconds=10**10))
BETWEEN_MAX_SECONDS = 8.0
DOWN_MAX_SECONDS = 40.0
LISTING_SECONDS = 70.0
KEYED_CHANCE = 0.5
TWICE_CHANCE = 0.3
REPEATS = 4
REPEAT_MAX_SECONDS = 5.0
GATE_CHANCES = {"liveness": (0.0, 0.002, 0.01), "safety": (0.01, 0.03)}
CLUSTER_CHANCES = {"liveness": (0.0, 0.1, 0.3), "safety": (0.3, 0.6)}
BROKER_AWAY_MAX_SECONDS = 60.0
PAUSE_MAX_SECONDS = 300.0
CALL_FAULTS = (
    ClusterFault(CallFault.REQUEST_LOST),
    ClusterFault(CallFault.REPLY_LOST),
    ClusterFault(CallFault.REPLY_DELAYED, seconds=12.0),
    ClusterFault(CallFault.ACCEPTED_LATE, seconds=30.0),
    ClusterFault(CallFault.UNAUTHORIZED),
    ClusterFault(CallFault.BAD_GATEWAY),
    ClusterFault(CallFault.GARBAGE),
    ClusterFault(CallFault.TRUNCATED),
    ClusterFault(CallFault.HANGS),
    ClusterFault(CallFault.EMPTY_LIST, method="GET"),
)
JOB_FAULTS = (
    ClusterFault(JobFault.FAILS),
    ClusterFault(JobFault.DIES),
    ClusterFault(JobFault.ARCHIVED_EARLY),
)
RESTART = "the cluster's master loses power"
FOREIGN = "another tool submits a job"
BROKER_AWAY = "the broker stops for a while"
PAUSE = "a controller sleeps for some minutes"
Mode = Literal["liveness", "safety"]


class Load:
    """One run of it."""

    def __init__(self, world: World, mode: Mode) -> None:
        self._world = world
        self._chance = world.chance_of("load")
        self._controllers = CONTROLLERS[mode]
        self._gate_chance = self._chance.choice(GATE_CHANCES[mode])
        self._cluster_chance = self._chance.choice(CLUSTER_CHANCES[mode])
        self._servers: list[int] = []
        self._networks: list[str] = []
        self.creates: dict[str, Answer | None] = {}
        self._keys = world.chance_of("keys")
        self._doubtful: set[str] = set()
        self.followers: list[followers.Client] = []
        self.writers: list[LateWriter] = []

    def begin(self) -> None:
        """Start the controllers and plan the requests."""
        for number in range(self._controllers):
            self._world.start(number)
        if self._world.follows:
            self.followers = followers.begin(self._world)
            self.writers = [LateWriter(self._world, number) for number in range(LATE_WRITERS)]
        faults = self._world.chance_of("faults")
        self._world.choose = lambda gate: self._fault(gate, faults)
        at = 0.0
        for number in range(REQUESTS):
            at += self._chance.uniform(0, BETWEEN_MAX_SECONDS)
            self._world.clock.callLater(at, self._request, number)
        self._world.run(lambda: len(self._world.facts["asked"]) == REQUESTS, at + 120)

    def _fault(self, gate: Gate, chance: random.Random) -> Fault | None:
        if chance.random() >= self._gate_chance:
            return None
        fault = chance.choice(POSSIBLE[gate.kind])
        if fault in (Fault.CRASH, Fault.CRASH_AFTER):
            down = chance.uniform(0.1, DOWN_MAX_SECONDS)
            self._world.clock.callLater(down, self._world.start, gate.controller)
        return fault

    def _request(self, number: int) -> None:
        if self._chance.random() < self._cluster_chance:
            self._disturb(self._chance.choice(self._world.clusters))
        user = User(self._world, self._chance.randrange(self._controllers))
        self._world.facts["asked"].append(number)
        kind = self._chance.random()
        if not self._servers or kind < 0.3:
            name = f"server {number}"
            flavor = self._chance.choice(("small", "large"))
            networks = self._networks[-1:] if self._chance.random() < 0.5 else []
            self._create(user, name, flavor, networks)
        elif kind < 0.4:
            user.create_network().addCallback(self._created_network)
        elif kind < 0.5 and self._networks:
            asked = user.ask("DELETE", f"/networks/{self._chance.choice(self._networks)}")
            asked.addCallback(self._answered)
        else:
            self._act(user, self._chance.choice(self._servers))

    def _create(self, user: User, name: str, flavor: str, networks: list[str]) -> None:
        """Ask for a server: once, or with a key, and then again until there is an answer."""
        self.creates[name] = None
        if self._keys.random() >= KEYED_CHANCE:
            user.create(flavor, name, networks).addCallback(self._created, name)
            return

        def ask(left: int) -> None:
            asked = User(self._world, self._keys.randrange(self._controllers))
            asked.create(flavor, name, networks, name).addCallback(answered, left)

        def answered(answer: Answer, left: int) -> None:
            self._told(name, answer)
            if answer.is_unknown or answer.status == 503:
                self._world.facts["repeats"] += 1
                if left:
                    pause = self._keys.uniform(0, REPEAT_MAX_SECONDS)
                    self._world.clock.callLater(pause, ask, left - 1)

        ask(REPEATS)
        if self._keys.random() < TWICE_CHANCE:
            ask(0)

    def _told(self, name: str, answer: Answer) -> None:
        """One of the answers to a request with a key; all that accept it are the same."""
        before = self.creates[name]
        if answer.is_unknown:
            self._doubtful.add(name)
        if before is not None and before.accepted:
            if answer.accepted and answer.text != before.text:
                raise Broken(f"INV10 {name} was accepted twice: {before.text} {answer.text}")
        else:
            self._created(answer, name)

    def _disturb(self, cluster: MemoryGaneti) -> None:
        rare = (RESTART, FOREIGN, BROKER_AWAY, PAUSE)
        what = self._chance.choice((*CALL_FAULTS, *JOB_FAULTS, *rare))
        if what is RESTART:
            cluster.restart()
        elif what is BROKER_AWAY:
            self._world.broker.stop()
            back = self._chance.uniform(1, BROKER_AWAY_MAX_SECONDS)
            self._world.clock.callLater(back, self._world.broker.start)
        elif what is PAUSE:
            sleeps = self._chance.uniform(1, PAUSE_MAX_SECONDS)
            self._world.pause(self._chance.randrange(self._controllers), sleeps)
        elif what is FOREIGN:
            startup = {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": "foreign", "depends": None}
            cluster.jobs.submit([startup], "instances_name_startup", "another tool")
        else:
            cluster.faults.add(what)

    def _created_network(self, answer: Answer) -> None:
        if answer.accepted:
            self._networks.append(answer.json["network"]["id"])
        self._answered(answer)

    def _created(self, answer: Answer, name: str) -> None:
        self.creates[name] = answer
        if answer.accepted:
            self._servers.append(int(answer.json["server"]["id"]))
        self._answered(answer)

    def _act(self, user: User, server: int) -> None:
        facts = self._world.facts
        actions: list[dict[str, Any]] = [
            {"start": {}},
            {"shutdown": {}},
            {"reboot": {"type": "HARD"}},
            {"resize": {"flavorRef": facts["large"]}},
            {"resize": {"flavorRef": facts["small"]}},
            {"console": {"type": "vnc-wss"}},
        ]
        chosen = self._chance.randrange(len(actions) + 2)
        asked = user.act(server, **actions[chosen]) if chosen < len(actions) else None
        (asked or user.delete(server)).addCallback(self._answered)

    def _answered(self, answer: Answer) -> None:
        if answer.status == 500:
            raise Broken(f"a reply that says nothing: {answer.text}")

    def heal(self) -> None:
        """No more faults; then all that is under way comes to its end."""
        world = self._world
        for writer in self.writers:
            writer.end()
        world.heal()
        for number in range(self._controllers):
            if number not in world.controllers:
                world.start(number)
        # Who sleeps has yet to do what it began.
        world.run(lambda: not any(map(world.paused_for, world.controllers)), PAUSE_MAX_SECONDS)
        settle(world)
        world.wait(LISTING_SECONDS)
        settle(world)

    def check_creates(self) -> None:
        """INV10: each accepted create made one server, each refused one none."""
        rows = self._world.postgres.run("SELECT name, count(*) FROM servers GROUP BY name").rows
        made = dict(rows)
        for name, answer in self.creates.items():
            count = made.get(name, 0)
            if answer is not None and answer.accepted and count != 1:
                raise Broken(f"INV10 {name} was accepted and is there {count} times")
            known = answer is not None and not answer.accepted and not answer.is_unknown
            known = known and name not in self._doubtful
            if known and count:
                raise Broken(f"INV10 {name} was refused and is there: {answer}")
            if count > 1:
                raise Broken(f"INV10 {name} is there {count} times")


def _check_followers(world: World, load: Load) -> None:
    """INV11: who polls and who follows know what lists show, soon after all has come to rest."""
    if load.writers and not sum(each.commits for each in load.writers):
        raise Broken("nobody committed late")
    world.wait(FOLLOWERS_SECONDS)
    found = followers.differences(world, load.followers) if load.followers else []
    if found:
        raise Broken(f"INV11 known otherwise than listed: {found}")


def run(
    seed: str, mode: Mode = "liveness", *, keeps_lines: bool = False, follows: bool = False
) -> Run:
    """One run; raises Broken or SimulationError, with what is needed to see it again.

    With ``follows`` clients keep up with what changes, and must in the end know what lists show.
    """
    world = World(seed, base(CLUSTERS), messages=True, follows=follows, settings=SETTINGS)
    world.keeps_lines = keeps_lines
    world.facts |= {"asked": [], "repeats": 0}
    load = Load(world, mode)
    try:
        world.after_commit = lambda: invariants.after_commit(world)
        load.begin()
        if mode == "liveness":
            load.heal()
            _check_followers(world, load)
            invariants.at_rest(world)
            load.check_creates()
        else:
            invariants.any_time(world)
    except Exception as error:
        again = f"python -m tests.simulation.replay --seed {shlex.quote(seed)} --mode {mode}"
        again += " --follows" if follows else ""
        error.add_note(f"see it again: {again}")
        if keeps_lines:
            error.add_note("\n".join(world.lines))
        raise
    finally:
        for writer in load.writers:
            writer.close()
        world.end()
    return Run(world.digest, (), tuple(world.lines))
