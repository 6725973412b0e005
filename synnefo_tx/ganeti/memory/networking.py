"""Operations on networks: add, connect to a group, disconnect, remove."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import attrs

from synnefo_tx.ganeti.memory.cluster import (
    ALREADY_EXISTS,
    UNKNOWN_ENTITY,
    WRONG_INPUT,
    WRONG_STATE,
    Cluster,
    prereq,
)
from synnefo_tx.ganeti.memory.lifecycle import check_tags
from synnefo_tx.ganeti.memory.model import Network
from synnefo_tx.ganeti.memory.run import Run

_WIDEST_PREFIX = 16
_MAC_PREFIX = re.compile(r"[0-9a-f]{2}:[0-9a-f]{2}:[0-9a-f]{2}", re.IGNORECASE)


async def add(run: Run) -> Any:
    """OP_NETWORK_ADD."""
    cluster, op = run.cluster, run.op
    name = op["network_name"]
    if name in cluster.store.networks:
        uuid = cluster.store.networks[name].uuid
        text = f"Desired network name '{name}' already exists as a network (UUID: {uuid})"
        raise prereq(text, ALREADY_EXISTS)
    if op["mac_prefix"] and not _MAC_PREFIX.fullmatch(op["mac_prefix"]):
        raise prereq(f"Invalid MAC address prefix '{op['mac_prefix']}'", WRONG_INPUT)
    check_tags(op["tags"])
    _check_addresses(op)
    await run.pause(0.5)
    network = Network(
        name=name,
        uuid=cluster.new_uuid(),
        cidr=op["network"],
        gateway=op["gateway"],
        cidr6=op["network6"],
        gateway6=op["gateway6"],
        mac_prefix=op["mac_prefix"],
        reserved=tuple(op["add_reserved_ips"] or ()),
        tags=tuple(sorted(set(op["tags"]))),
        ctime=cluster.clock.seconds(),
    )
    cluster.store.commit(("networks", name, network))
    return None


def _check_addresses(op: Any) -> None:
    block = ipaddress.IPv4Network(op["network"])
    if block.prefixlen < _WIDEST_PREFIX:
        text = f"A big network with {block.num_addresses} host(s) is currently not supported. "
        raise prereq(text + f"please specify at most a /{_WIDEST_PREFIX} network", WRONG_INPUT)
    for address in [op["gateway"], *(op["add_reserved_ips"] or [])]:
        if address is None:
            continue
        try:
            inside = ipaddress.IPv4Address(address) in block
        except ValueError:
            inside = False
        if not inside:
            text = f"Cannot reserve IP address '{address}': IP address outside the network"
            raise prereq(text, WRONG_INPUT)


async def connect(run: Run) -> Any:
    """OP_NETWORK_CONNECT: a network that is connected already stays as it is."""
    cluster, op = run.cluster, run.op
    network, group = cluster.network(op["network_name"]), _group(cluster, op["group_name"])
    if group in network.groups:
        run.warning(f"Network '{network.name}' is already mapped to group '{group}'")
        return None
    await run.pause(0.5)
    link = (op["network_mode"] or "bridged", op["network_link"] or cluster.config.link)
    groups = {**network.groups, group: (*link, op["network_vlan"] or "")}
    cluster.store.commit(("networks", network.name, attrs.evolve(network, groups=groups)))
    return None


async def disconnect(run: Run) -> Any:
    """OP_NETWORK_DISCONNECT: not while an address of the network is in use in the group."""
    cluster, op = run.cluster, run.op
    network, group = cluster.network(op["network_name"]), _group(cluster, op["group_name"])
    if group not in network.groups:
        run.warning(f"Network '{network.name}' is not mapped to group '{group}'")
        return None
    used = _addresses_in_group(cluster, network, group)
    if used:
        run.warning(
            f"IP addresses from network '{network.name}', which is about to disconnect from node "
            f"group '{group}', are in use: {', '.join(used)}"
        )
        text = "Conflicting IP addresses found;  remove/modify the corresponding network interfaces"
        raise prereq(text, WRONG_STATE)
    await run.pause(0.5)
    groups = {name: link for name, link in network.groups.items() if name != group}
    cluster.store.commit(("networks", network.name, attrs.evolve(network, groups=groups)))
    return None


def _addresses_in_group(cluster: Cluster, network: Network, group: str) -> list[str]:
    return [
        f"{instance.name}: nic{index}/{nic.ip}"
        for instance in cluster.store.instances.values()
        if cluster.store.nodes[instance.pnode].group == group
        for index, nic in enumerate(instance.nics)
        if nic.network == network.uuid and nic.ip
    ]


def _group(cluster: Cluster, name: str) -> str:
    if name not in cluster.store.groups:
        raise prereq(f"Node group '{name}' not found", UNKNOWN_ENTITY)
    return name


async def remove(run: Run) -> Any:
    """OP_NETWORK_REMOVE: not while it is connected anywhere."""
    network = run.cluster.network(run.op["network_name"])
    if network.groups:
        names = ", ".join(sorted(network.groups))
        text = f"Network '{network.name}' is connected to the following node groups: {names}"
        run.warning(text)
        raise prereq("Network still connected", WRONG_STATE)
    await run.pause(0.5)
    run.cluster.store.commit(("networks", network.name, None))
    return None
