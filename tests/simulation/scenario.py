"""What every run begins from: a cluster, sizes, an image, a public network, a user."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from synnefo_tx.caller import OPERATOR
from synnefo_tx.ganeti.backends.operations import Registration
from tests.simulation.client import Answer
from tests.simulation.world import NOTHING, Saved, SimulationError, World

IMAGE = "5d1c1f3a-7c1e-4f0e-9d5e-6b1f4d0a2c11"
PASSWORD = "Canary-Admin-Password-1"
PERSONALITY = "Y2FuYXJ5LXBlcnNvbmFsaXR5LWZpbGU="
NETWORK_PATHS = ("/networks", "/subnets")
REST_LIMIT_SECONDS = 900.0
OPEN_WORK = "SELECT count(*) FROM intents WHERE ended IS NULL"

_kept: dict[str, Saved] = {}


def base(clusters: int = 1) -> Saved:
    """A cloud that nobody has used yet."""
    name = f"base_{clusters}"
    if name not in _kept:
        world = World(name, evolve(NOTHING, clusters=({},) * clusters))
        controller = world.start(timers=False)
        world.result(_fill(world, controller.app))
        _kept[name] = world.save(name)
        world.end()
    return _kept[name]


async def _fill(world: World, app: Any) -> None:
    for number, cluster in enumerate(world.clusters):
        wanted = Registration(
            clustername=cluster.cluster.config.name,
            host="127.0.0.1",
            port=5080 + number,
            username=cluster.username,
            password=cluster.password,
            fingerprint="0" * 64,
        )
        id = await app.ganeti.backends.add(wanted)
        await app.ganeti.backends.modify(id, {"drained": False})
        await app.ganeti.backends.refresh(id)
    kind = await app.compute.flavors.create_type("file", "file")
    await app.compute.flavors.create([1, 2], [512, 1024], [5], [kind])
    flavors = {(each.cpu, each.ram_mib): each.id for each in await app.compute.flavors.listing()}
    source = "pithosmap://simulated/1"
    await app.compute.images.register(IMAGE, "Image", "system", source, {}, size_bytes=1)
    network = await app.compute.networks.create_public(OPERATOR, "Public", "CUSTOM", None)
    await app.compute.networks.add_subnet(OPERATOR, network.id, "203.0.113.0/24")
    made = await app.identity.users.add(
        "user@example.org", "Uma", "User", password="canary-user-password", accepted=True
    )
    async with app.database.transaction("token") as tx:
        token = await app.identity.tokens.issue(tx, made.uuid, "simulation")
    world.facts |= {
        "user": made.uuid,
        "token": token.secret,
        "small": flavors[1, 512],
        "large": flavors[2, 1024],
    }


def canaries(world: World) -> list[str]:
    """Texts that may be nowhere but with whom they belong to."""
    passwords = [cluster.password for cluster in world.clusters]
    return [PASSWORD, PERSONALITY, world.facts["token"], "canary-user-password", *passwords]


class User:
    """A user of a world's API, and what they know."""

    def __init__(self, world: World, controller: int = 0) -> None:
        self._world = world
        self._controller = controller

    def ask(self, method: str, path: str, body: Any = None, key: str = "") -> Deferred[Answer]:
        """One request of the compute or network API."""
        return self._world.request(
            method,
            ("/network/v2.0" if path.startswith(NETWORK_PATHS) else "/compute/v2.0") + path,
            body,
            token=self._world.facts["token"],
            controller=self._controller,
            key=key,
        )

    def create(
        self,
        flavor: str = "small",
        name: str = "simulated",
        networks: Sequence[str] = (),
        key: str = "",
    ) -> Deferred[Answer]:
        """Ask for a server, with a password and a file; with a key the request may be repeated."""
        server = {
            "name": name,
            "imageRef": IMAGE,
            "flavorRef": self._world.facts[flavor],
            "adminPass": PASSWORD,
            "networks": [{"uuid": each} for each in networks],
            "personality": [{"path": "/root/file", "contents": PERSONALITY}],
        }
        return self.ask("POST", "/servers", {"server": server}, key)

    def act(self, id: int, **action: Any) -> Deferred[Answer]:
        """Ask for an action."""
        return self.ask("POST", f"/servers/{id}/action", action)

    def create_network(self) -> Deferred[Answer]:
        """Ask for a private network, then for its subnet."""

        def made(answer: Answer) -> Deferred[Answer]:
            if not answer.accepted:
                return succeed(answer)
            subnet = {"network_id": answer.json["network"]["id"], "cidr": "192.168.0.0/28"}
            asked = self.ask("POST", "/subnets", {"subnet": subnet})
            return asked.addCallback(lambda ignored: answer)

        wanted = {"type": "MAC_FILTERED", "name": "private"}
        return self.ask("POST", "/networks", {"network": wanted}).addCallback(made)

    def delete(self, id: int) -> Deferred[Answer]:
        """Ask for removal."""
        return self.ask("DELETE", f"/servers/{id}")


def at_rest(world: World) -> bool:
    """Whether no intent is open, no job runs and nobody waits."""
    if not world.is_quiet or not world.broker.is_idle:
        return False
    jobs = [job for each in world.clusters for job in each.cluster.store.jobs.values()]
    return all(job.final for job in jobs) and not world.postgres.run(OPEN_WORK).rows[0][0]


def settle(world: World) -> None:
    """Go on until the world is at rest, or nobody is left alive in it.

    Raises SimulationError when it never is.
    """
    if not world.run(lambda: not world.controllers or at_rest(world), REST_LIMIT_SECONDS):
        open = world.postgres.run("SELECT call, attempts, job_id, attempted, absent_since "
                                  "FROM intents WHERE ended IS NULL").rows  # fmt: skip
        raise SimulationError(f"not at rest after {REST_LIMIT_SECONDS} s: {open}")


def server_at_rest(state: str) -> Saved:
    """A cloud with one server (its id is the fact ``server``), STARTED or STOPPED."""
    if state not in _kept:
        world = World(state, base())
        world.start()
        made = world.result(User(world).create())
        world.facts["server"] = made.json["server"]["id"]
        settle(world)
        if state == "STOPPED":
            world.result(User(world).act(world.facts["server"], shutdown={}))
            settle(world)
        world.wait(1)
        _kept[state] = world.save(state.lower())
        world.end()
    return _kept[state]
