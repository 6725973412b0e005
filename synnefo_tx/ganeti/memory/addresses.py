"""Addresses of a network: which are taken, which is free (``ganeti/network.py``)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from synnefo_tx.ganeti.memory.cluster import Cluster
from synnefo_tx.ganeti.memory.model import Network, Nic


def external_reservations(network: Network) -> list[str]:
    """Addresses that no instance gets by itself, ascending."""
    block = ipaddress.IPv4Network(network.cidr)
    reserved = {str(block[0]), str(block[-1]), *network.reserved}
    if network.gateway:
        reserved.add(network.gateway)
    return sorted(reserved, key=ipaddress.IPv4Address)


def addresses_in_use(cluster: Cluster, network: Network) -> set[str]:
    """Addresses that instances have."""
    return {
        nic.ip
        for instance in cluster.store.instances.values()
        for nic in instance.nics
        if nic.network == network.uuid and nic.ip
    }


def taken_map(cluster: Cluster, network: Network) -> str:
    """One character per address: X taken, . free."""
    block = ipaddress.IPv4Network(network.cidr)
    taken = addresses_in_use(cluster, network) | set(external_reservations(network))
    marks = ["."] * block.num_addresses
    for address in taken:
        marks[int(ipaddress.IPv4Address(address)) - int(block[0])] = "X"
    return "".join(marks)


def free_address(cluster: Cluster, network: Network, held: Iterable[Nic]) -> str | None:
    """The lowest free address; ``held`` are NICs that are about to be."""
    block = ipaddress.IPv4Network(network.cidr)
    free = taken_map(cluster, network)
    ours = {nic.ip for nic in held if nic.network == network.uuid}
    candidates = (str(block[at]) for at, mark in enumerate(free) if mark == ".")
    return next((address for address in candidates if address not in ours), None)


def is_available(
    cluster: Cluster, network: Network, address: str, held: Iterable[Nic], reserved_too: bool
) -> bool:
    """Whether a NIC may ask for this address; ``reserved_too`` forbids reserved ones."""
    if ipaddress.IPv4Address(address) not in ipaddress.IPv4Network(network.cidr):
        return False
    if address in addresses_in_use(cluster, network):
        return False
    if any(nic.network == network.uuid and nic.ip == address for nic in held):
        return False
    return not (reserved_too and address in external_reservations(network))
