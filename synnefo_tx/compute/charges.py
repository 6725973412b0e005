"""What servers and volumes are charged: pure (compute-api reference §9).

A live server always counts ``vm``, ``total_cpu`` and ``total_ram``; ``cpu`` and ``ram`` while it
runs, is being built, or is in error. Charges follow from the difference of two states, so that a
holding's usage always equals the sum over what lives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from synnefo_tx.compute.flavors.model import Flavor
from synnefo_tx.compute.servers.model import Server, Volume
from synnefo_tx.units import gib_to_bytes, mib_to_bytes

VM = "cyclades.vm"
CPU = "cyclades.cpu"
RAM = "cyclades.ram"
TOTAL_CPU = "cyclades.total_cpu"
TOTAL_RAM = "cyclades.total_ram"
DISK = "cyclades.disk"

RUNNING_STATES = frozenset({"BUILD", "STARTED", "ERROR"})

Amounts = Mapping[str, int]


def of_server(server: Server, flavor: Flavor) -> dict[str, int]:
    """What a server counts now, without its volumes; RAM in bytes."""
    if server.deleted:
        return {}
    ram_bytes = mib_to_bytes(flavor.ram_mib)
    amounts = {VM: 1, TOTAL_CPU: flavor.cpu, TOTAL_RAM: ram_bytes}
    if server.operstate in RUNNING_STATES:
        amounts |= {CPU: flavor.cpu, RAM: ram_bytes}
    return amounts


def of_volumes(volumes: Iterable[Volume]) -> dict[str, int]:
    """What volumes count now, in bytes."""
    total = sum(gib_to_bytes(each.size_gib) for each in volumes if not each.deleted)
    return {DISK: total} if total else {}


def total(*parts: Amounts) -> dict[str, int]:
    """The sum of several amounts."""
    result: dict[str, int] = {}
    for part in parts:
        for resource, quantity in part.items():
            result[resource] = result.get(resource, 0) + quantity
    return result


def difference(after: Amounts, before: Amounts) -> dict[str, int]:
    """What must be charged to get from ``before`` to ``after``; zeros are left out."""
    keys = sorted(set(after) | set(before))
    deltas = {key: after.get(key, 0) - before.get(key, 0) for key in keys}
    return {key: delta for key, delta in deltas.items() if delta}


def of_build(flavor: Flavor) -> dict[str, int]:
    """What a new server and its root volume of ``flavor`` count."""
    ram_bytes = mib_to_bytes(flavor.ram_mib)
    return {
        VM: 1,
        TOTAL_CPU: flavor.cpu,
        TOTAL_RAM: ram_bytes,
        CPU: flavor.cpu,
        RAM: ram_bytes,
        DISK: gib_to_bytes(flavor.disk_gib),
    }
