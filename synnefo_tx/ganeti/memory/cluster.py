"""The cluster that operations work on: its state, and what can be asked of it."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from synnefo_tx.ganeti.memory.config import BACKEND_PARAMETERS, ClusterConfig
from synnefo_tx.ganeti.memory.model import Group, Instance, Json, Network, Node
from synnefo_tx.ganeti.memory.store import Change, Store

WRONG_INPUT = "wrong_input"
WRONG_STATE = "wrong_state"
UNKNOWN_ENTITY = "unknown_entity"
ALREADY_EXISTS = "already_exists"
NOT_UNIQUE = "resource_not_unique"
NO_RESOURCES = "insufficient_resources"

_LAST_PORT = 14_999


class OpFailed(Exception):
    """An opcode failed; ``result`` is what its job shows."""

    def __init__(self, kind: str, text: str, code: str | None = None) -> None:
        super().__init__(text)
        self.result = [kind, [text] if code is None else [text, code]]


def prereq(text: str, code: str | None = None) -> OpFailed:
    """A failed prerequisite: nothing was changed."""
    return OpFailed("OpPrereqError", text, code)


@define(eq=False)
class Cluster:
    """State, constants, time and chance of one cluster."""

    config: ClusterConfig
    store: Store
    clock: IReactorTime
    random: random.Random
    port_is_free: Callable[[int], bool] = field(default=lambda port: True)

    def set_up(self) -> None:
        """Make the configured nodes and groups, unless the state has some already."""
        if self.store.nodes:
            return
        now = self.clock.seconds()
        for name in dict.fromkeys(node.group for node in self.config.nodes):
            self.store.commit(("groups", name, Group(name, self.new_uuid(), now)))
        for node in self.config.nodes:
            values = attrs.asdict(node)
            self.store.commit(("nodes", node.name, Node(uuid=self.new_uuid(), ctime=now, **values)))

    def new_uuid(self) -> str:
        """A UUID by the given chance."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def instance(self, name: str) -> Instance:
        """The instance. Raises OpFailed."""
        found = self.store.instances.get(name)
        if found is None:
            raise prereq(f"Instance '{name}' not known", UNKNOWN_ENTITY)
        return found

    def network(self, name: str) -> Network:
        """The network. Raises OpFailed."""
        found = self.store.networks.get(name)
        if found is None:
            raise prereq(f"Network '{name}' not found", UNKNOWN_ENTITY)
        return found

    def network_by_uuid(self, wanted: str | None) -> Network | None:
        """The network that a NIC is on."""
        for network in self.store.networks.values():
            if network.uuid == wanted:
                return network
        return None

    def save(self, instance: Instance, *also: Change, **changes: Any) -> Instance:
        """Commit the instance with these changes, and ``also`` in the same step."""
        changed = attrs.evolve(
            instance, **changes, mtime=self.clock.seconds(), serial_no=instance.serial_no + 1
        )
        self.store.commit(("instances", changed.name, changed), *also)
        return changed

    def on_node(self, node: Node) -> Iterable[Instance]:
        """The instances whose primary node this is."""
        return (one for one in self.store.instances.values() if one.pnode == node.name)

    def memory_used_mib(self, node: Node) -> int:
        """Memory of the guests that run there."""
        return sum(one.guest[0] for one in self.on_node(node) if one.guest)

    def disk_used_mib(self, node: Node) -> int:
        """Space that instances' disks and detached ones take there."""
        attached = (disk for one in self.on_node(node) for disk in one.disks)
        local = ("file", "sharedfile", "plain", "drbd")
        return sum(disk.size_mib for disk in attached if disk.template in local)

    def macs(self) -> set[str]:
        """All MAC addresses in use."""
        return {nic.mac for one in self.store.instances.values() for nic in one.nics}

    def new_mac(self, prefix: str | None, also_taken: set[str]) -> str:
        """A MAC address that nobody has."""
        taken = self.macs() | also_taken
        while True:
            tail = ":".join(f"{self.random.randrange(256):02x}" for _ in range(3))
            mac = f"{prefix or self.config.mac_prefix}:{tail}"
            if mac not in taken:
                return mac

    def new_port(self) -> int:
        """A port for an instance's screen. Raises OpFailed when none is left."""
        taken = {one.network_port for one in self.store.instances.values()}
        for port in range(self.config.first_port, _LAST_PORT + 1):
            if port not in taken and self.port_is_free(port):
                return port
        raise OpFailed("ConfigurationError", "The highest used port is greater than 14999")

    def checked_beparams(self, given: Mapping[str, Any], base: Mapping[str, Any]) -> Json:
        """``base`` changed by what was given. Raises OpFailed for unknown or impossible values."""
        values = dict(given)
        if "memory" in values:
            values["minmem"] = values["maxmem"] = values.pop("memory")
        for name, value in values.items():
            if name not in BACKEND_PARAMETERS:
                raise OpFailed("TypeEnforcementError", f"Unknown parameter '{name}'")
            if type(value) is not type(BACKEND_PARAMETERS[name]):
                raise OpFailed("TypeEnforcementError", f"'{value}' (parameter {name}) is not valid")
        return {**base, **values}
