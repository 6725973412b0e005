"""Which operation executes which opcode, what it checks first and what it locks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from synnefo_tx.ganeti.memory import lifecycle, modify, networking, opcodes
from synnefo_tx.ganeti.memory.cluster import ALREADY_EXISTS, WRONG_INPUT, Cluster, prereq
from synnefo_tx.ganeti.memory.jobs import Operation
from synnefo_tx.ganeti.memory.opcodes import Opcode
from synnefo_tx.ganeti.memory.run import Run

Op = Mapping[str, Any]
Perform = Callable[[Run], Awaitable[Any]]


def _instance_exists(cluster: Cluster, op: Op) -> None:
    cluster.instance(op["instance_name"])


def _tagged_exists(cluster: Cluster, op: Op) -> None:
    cluster.instance(op["name"])


def _is_new(cluster: Cluster, op: Op) -> None:
    if not op["name_check"] and op["instance_name"] in cluster.store.instances:
        text = f"Instance '{op['instance_name']}' is already in the cluster"
        raise prereq(text, ALREADY_EXISTS)


def _changes(cluster: Cluster, op: Op) -> None:
    if not modify.changes_something(op):
        raise prereq("No changes submitted", WRONG_INPUT)
    cluster.instance(op["instance_name"])


def _nothing(cluster: Cluster, op: Op) -> None:
    """Networks are looked up when the operation runs."""


def _on_instance(
    opcode: Opcode, perform: Perform, check: Callable[[Cluster, Op], None] = _instance_exists
) -> Operation:
    return Operation(opcode, perform, check, lambda op: f"instance {op['instance_name']}")


def _on_tags(opcode: Opcode, perform: Perform) -> Operation:
    return Operation(opcode, perform, _tagged_exists, lambda op: f"instance {op['name']}")


def _on_network(opcode: Opcode, perform: Perform) -> Operation:
    return Operation(opcode, perform, _nothing, lambda op: f"network {op['network_name']}")


OPERATIONS: Mapping[str, Operation] = {
    operation.opcode.id: operation
    for operation in (
        _on_instance(opcodes.INSTANCE_CREATE, lifecycle.create, _is_new),
        _on_instance(opcodes.INSTANCE_REMOVE, lifecycle.remove),
        _on_instance(opcodes.INSTANCE_STARTUP, lifecycle.startup),
        _on_instance(opcodes.INSTANCE_SHUTDOWN, lifecycle.shutdown),
        _on_instance(opcodes.INSTANCE_REBOOT, lifecycle.reboot),
        _on_instance(opcodes.INSTANCE_REINSTALL, lifecycle.reinstall),
        _on_instance(opcodes.INSTANCE_GROW_DISK, lifecycle.grow_disk),
        _on_instance(opcodes.INSTANCE_SET_PARAMS, modify.modify, _changes),
        _on_tags(opcodes.TAGS_SET, lifecycle.set_tags),
        _on_tags(opcodes.TAGS_DEL, lifecycle.delete_tags),
        _on_network(opcodes.NETWORK_ADD, networking.add),
        _on_network(opcodes.NETWORK_CONNECT, networking.connect),
        _on_network(opcodes.NETWORK_DISCONNECT, networking.disconnect),
        _on_network(opcodes.NETWORK_REMOVE, networking.remove),
    )
}
