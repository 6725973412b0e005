"""What a cluster in memory consists of: frozen values, each convertible to JSON and back.

Fields are Ganeti's own (``ganeti/objects.py``), reduced to what RAPI shows or jobs need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import field, frozen

from synnefo_tx.ganeti.memory.config import BACKEND_PARAMETERS

Json = dict[str, Any]


@frozen
class Group:
    """A node group."""

    name: str
    uuid: str
    ctime: float = 0.0


@frozen
class Node:
    """A node; ``pip`` is its primary address, where its instances' screens are."""

    name: str
    uuid: str
    group: str
    pip: str
    memory_mib: int
    disk_mib: int
    cpus: int
    ctime: float = 0.0
    offline: bool = False
    drained: bool = False
    vm_capable: bool = True


@frozen
class Network:
    """A network; ``groups`` maps a group's name to (mode, link, vlan)."""

    name: str
    uuid: str
    cidr: str
    gateway: str | None
    cidr6: str | None
    gateway6: str | None
    mac_prefix: str | None
    reserved: tuple[str, ...]
    tags: tuple[str, ...]
    ctime: float
    groups: Mapping[str, tuple[str, str, str]] = field(factory=dict)


@frozen
class Nic:
    """A network interface; ``network`` is a network's UUID or None."""

    uuid: str
    name: str | None
    mac: str
    ip: str | None
    network: str | None
    mode: str
    link: str
    vlan: str = ""


@frozen
class Disk:
    """A disk; ``content`` is what an OS script wrote at its beginning."""

    uuid: str
    name: str | None
    size_mib: int
    template: str
    params: Mapping[str, Any] = field(factory=dict)
    content: str = field(default="", repr=False)


@frozen
class Instance:
    """An instance. ``beparams`` are those it was given, without the cluster's defaults.

    ``guest`` holds the memory (MiB) and processors its process runs with, if it runs.
    """

    name: str
    uuid: str
    os: str
    hypervisor: str
    disk_template: str
    pnode: str
    admin_state: str
    beparams: Mapping[str, Any]
    hvparams: Mapping[str, Any]
    osparams: Mapping[str, str]
    nics: tuple[Nic, ...]
    disks: tuple[Disk, ...]
    tags: tuple[str, ...]
    ctime: float
    mtime: float
    serial_no: int = 1
    network_port: int | None = None
    guest: tuple[int, int] | None = None

    @property
    def all_beparams(self) -> Json:
        """Its backend parameters with the cluster's defaults."""
        return {**BACKEND_PARAMETERS, **self.beparams}

    @property
    def memory_mib(self) -> int:
        """Memory that it is configured with."""
        return int(self.all_beparams["maxmem"])


@frozen
class Op:
    """One opcode of a job; ``log`` entries are ``[serial, [s, us], "message", text]``."""

    input: Mapping[str, Any]
    summary: str
    status: str = "queued"
    result: Any = None
    log: tuple[Any, ...] = ()


@frozen
class Job:
    """A job; times are seconds since the epoch."""

    id: int
    ops: tuple[Op, ...]
    received: float
    started: float | None = None
    ended: float | None = None
    archived: bool = False

    @property
    def status(self) -> str:
        """The job's status, which follows from those of its opcodes."""
        statuses = [op.status for op in self.ops]
        for status in ("error", "canceled", "running", "waiting"):
            if status in statuses:
                return status
        if "success" not in statuses:
            return "queued"
        return "success" if set(statuses) == {"success"} else "running"

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.status in ("success", "error", "canceled")


Value = Group | Node | Network | Instance | Disk | Job

TABLES: Mapping[str, type[Value]] = {
    "groups": Group,
    "nodes": Node,
    "networks": Network,
    "instances": Instance,
    "detached": Disk,
    "jobs": Job,
}
"""Kinds of objects; the keys are names, for jobs the id, for detached disks the UUID."""


def to_json(value: Value) -> Json:
    """The value as JSON can hold it."""
    return attrs.asdict(value)


def from_json(table: str, raw: Mapping[str, Any]) -> Value:
    """The value that ``to_json`` gave. Raises TypeError or KeyError for anything else."""
    values = dict(raw)
    if table == "instances":
        values["nics"] = tuple(Nic(**nic) for nic in values["nics"])
        values["disks"] = tuple(Disk(**disk) for disk in values["disks"])
        values["tags"] = tuple(values["tags"])
        values["guest"] = None if values["guest"] is None else tuple(values["guest"])
    elif table == "networks":
        values["reserved"] = tuple(values["reserved"])
        values["tags"] = tuple(values["tags"])
        values["groups"] = {name: tuple(link) for name, link in values["groups"].items()}
    elif table == "jobs":
        values["ops"] = tuple(
            Op(**{**op, "log": tuple(tuple(entry) for entry in op["log"])}) for op in values["ops"]
        )
    return TABLES[table](**values)
