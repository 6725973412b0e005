"""Which node gets an instance: room first, then the most even load, as hail does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

from synnefo_tx.ganeti.memory.cluster import NO_RESOURCES, Cluster, prereq
from synnefo_tx.ganeti.memory.model import Group, Network, Node

HYPERVISOR_MEMORY_MIB = 128
"""What a node's own system keeps."""


def free_memory_mib(cluster: Cluster, node: Node) -> int:
    """Memory that no guest runs in."""
    return node.memory_mib - HYPERVISOR_MEMORY_MIB - cluster.memory_used_mib(node)


def free_disk_mib(cluster: Cluster, node: Node) -> int:
    """Space that no disk takes."""
    return node.disk_mib - cluster.disk_used_mib(node)


def _promised_memory_mib(cluster: Cluster, node: Node) -> int:
    """Memory that is left when every instance of the node runs with all it is configured for."""
    missing = sum(
        max(0, one.memory_mib - (one.guest[0] if one.guest else 0)) for one in cluster.on_node(node)
    )
    return free_memory_mib(cluster, node) - missing


def _obstacle(cluster: Cluster, node: Node, memory_mib: int, disk_mib: int) -> str | None:
    """hail's word for why the node cannot take the instance."""
    if _promised_memory_mib(cluster, node) < memory_mib:
        return "FailMem"
    if free_disk_mib(cluster, node) < disk_mib:
        return "FailDisk"
    return None


def choose_node(
    cluster: Cluster, name: str, memory_mib: int, disk_mib: int, networks: Collection[Network]
) -> Node:
    """The node for a new instance. Raises OpFailed with hail's texts."""
    failures: list[str] = []
    for group in cluster.store.groups.values():
        if any(group.name not in network.groups for network in networks):
            failures.append(
                f"group {group.name} is not connected to a network required by instance {name}"
            )
            continue
        node, text = _choose_in_group(cluster, group, memory_mib, disk_mib)
        if node is not None:
            return node
        failures.append(text)
    text = "; ".join(failures)
    raise prereq(
        f"Can't compute nodes using iallocator 'hail': Request failed: {text}", NO_RESOURCES
    )


def _choose_in_group(
    cluster: Cluster, group: Group, memory_mib: int, disk_mib: int
) -> tuple[Node | None, str]:
    online = [
        node
        for node in cluster.store.nodes.values()
        if node.group == group.name and node.vm_capable and not (node.offline or node.drained)
    ]
    obstacles = {node.name: _obstacle(cluster, node, memory_mib, disk_mib) for node in online}
    fitting = [node for node in online if obstacles[node.name] is None]
    if fitting:
        return max(fitting, key=lambda node: _share_left(cluster, node)), ""
    counts = Counter(obstacle for obstacle in obstacles.values() if obstacle)
    reasons = ", ".join(f"{word}: {count}" for word, count in sorted(counts.items()))
    why = f"No valid allocation solutions, failure reasons: {reasons}" if counts else "No nodes"
    return None, f"Group {group.name} (preferred): {why}"


def _share_left(cluster: Cluster, node: Node) -> tuple[float, float]:
    memory = _promised_memory_mib(cluster, node) / node.memory_mib
    disk = free_disk_mib(cluster, node) / node.disk_mib
    return min(memory, disk), memory + disk
