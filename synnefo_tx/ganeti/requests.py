"""Bodies of RAPI requests, from what is wanted. Pure.

Names follow the original (backend reference §1), so that clusters it made can be taken over.
Disks and NICs keep the order in which they are given: the root disk comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from synnefo_tx.ganeti.model import FINAL_STATUSES, Json

DEFAULT_PREFIX = "snf-"
POOL = "pool"
"""As a NIC's address: let the cluster choose one of the network."""


def instance_name(server_id: int, prefix: str = DEFAULT_PREFIX) -> str:
    """Ganeti's name of a server."""
    return f"{prefix}{server_id}"


def server_id(name: str, prefix: str = DEFAULT_PREFIX) -> int | None:
    """The server an instance name means, None if it is not one of ours."""
    digits = name.removeprefix(prefix)
    ours = name.startswith(prefix) and digits.isascii() and digits.isdigit()
    return int(digits) if ours else None


def network_name(network_id: int, prefix: str = DEFAULT_PREFIX) -> str:
    """Ganeti's name of a network."""
    return f"{prefix}net-{network_id}"


def nic_name(port_id: int, prefix: str = DEFAULT_PREFIX) -> str:
    """Ganeti's name of a NIC."""
    return f"{prefix}nic-{port_id}"


def disk_name(volume_id: int, prefix: str = DEFAULT_PREFIX) -> str:
    """Ganeti's name of a disk."""
    return f"{prefix}vol-{volume_id}"


def link_name(network_id: int, prefix: str = DEFAULT_PREFIX) -> str:
    """Name of the link of a routed network that was given none."""
    return f"{prefix}link-{network_id}"


@frozen
class DiskSpec:
    """A disk to make. ``provider`` and ``params`` belong to external storage."""

    name: str
    size_mib: int
    provider: str | None = None
    params: Mapping[str, Any] = field(factory=dict)


@frozen
class NicSpec:
    """A NIC to make; ``ip`` None gives it no address, ``mac`` None lets the cluster choose."""

    name: str
    network: str
    ip: str | None = None
    mac: str | None = None


@frozen
class InstanceSpec:
    """An instance to make. The first disk is its root."""

    name: str
    os: str
    disk_template: str
    hypervisor: str
    disks: Sequence[DiskSpec]
    nics: Sequence[NicSpec]
    vcpus: int
    memory_mib: int
    osparams: Mapping[str, str] = field(factory=dict)
    hvparams: Mapping[str, Any] = field(factory=dict)
    tags: Sequence[str] = ()
    auto_balance: bool = True
    start: bool = True
    wait_for_sync: bool = False
    opportunistic_locking: bool = True
    depends: Sequence[int] = ()


def create_body(spec: InstanceSpec) -> Json:
    """Body of ``POST /2/instances``.

    Addresses are given by us, not by the cluster: Ganeti's own check for conflicts would refuse
    those that it counts as reserved.
    """
    return {
        "__version__": 1,
        "mode": "create",
        "name": spec.name,
        "os": spec.os,
        "hypervisor": spec.hypervisor,
        "disk_template": spec.disk_template,
        "disks": [_disk(disk) for disk in spec.disks],
        "nics": [_nic(nic) for nic in spec.nics],
        "beparams": {**_size(spec.vcpus, spec.memory_mib), "auto_balance": spec.auto_balance},
        "osparams": dict(spec.osparams),
        "hvparams": dict(spec.hvparams),
        "tags": list(spec.tags),
        "start": spec.start,
        "wait_for_sync": spec.wait_for_sync,
        "opportunistic_locking": spec.opportunistic_locking,
        "ip_check": False,
        "name_check": False,
        "conflicts_check": False,
        **depends_on(spec.depends),
    }


def resize_body(vcpus: int, memory_mib: int) -> Json:
    """Body of ``PUT …/modify`` that gives a stopped instance another size."""
    return {"beparams": _size(vcpus, memory_mib)}


def network_body(
    name: str,
    *,
    cidr: str | None,
    gateway: str | None = None,
    cidr6: str | None = None,
    gateway6: str | None = None,
    mac_prefix: str | None = None,
    tags: Sequence[str] = (),
    conflicts_check: bool = False,
) -> Json:
    """Body of ``POST /2/networks``. Ganeti insists on IPv4: a network without gets a dummy."""
    body: Json = {
        "network_name": name,
        "network": cidr or "10.0.0.0/29",
        "tags": list(tags),
        "conflicts_check": conflicts_check,
    }
    optional = {
        "gateway": gateway if cidr else None,
        "network6": cidr6,
        "gateway6": gateway6,
        "mac_prefix": mac_prefix,
    }
    return body | {key: value for key, value in optional.items() if value is not None}


def connect_body(
    group: str, *, mode: str, link: str, conflicts_check: bool = False, depends: Sequence[int] = ()
) -> Json:
    """Body of ``PUT /2/networks/N/connect``; ``mode`` is bridged, routed or openvswitch."""
    return {
        "group_name": group,
        "network_mode": mode,
        "network_link": link,
        "conflicts_check": conflicts_check,
        **depends_on(depends),
    }


def depends_on(job_ids: Sequence[int]) -> Json:
    """The body's part that makes the job wait for others, however they end."""
    if not job_ids:
        return {}
    return {"depends": [[job_id, sorted(FINAL_STATUSES)] for job_id in job_ids]}


def _size(vcpus: int, memory_mib: int) -> Json:
    return {"vcpus": vcpus, "minmem": memory_mib, "maxmem": memory_mib}


def _nic(nic: NicSpec) -> Json:
    mac = {} if nic.mac is None else {"mac": nic.mac}
    return {**mac, "name": nic.name, "network": nic.network, "ip": nic.ip}


def _disk(disk: DiskSpec) -> Json:
    provider = {} if disk.provider is None else {"provider": disk.provider}
    return {**disk.params, **provider, "name": disk.name, "size": disk.size_mib}
