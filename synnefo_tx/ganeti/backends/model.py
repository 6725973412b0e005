"""A backend: one Ganeti cluster, as placement and the operator see it."""

from __future__ import annotations

from datetime import datetime

from attrs import field, frozen


@frozen
class Backend:
    """One cluster: how to reach it, and its last measured and reserved figures (MiB)."""

    id: int
    clustername: str
    host: str
    port: int
    username: str
    password_sealed: bytes = field(repr=False)
    ca_pem: str | None
    fingerprint: str | None
    drained: bool
    offline: bool
    public: bool
    hypervisor: str
    version: str
    disk_templates: list[str]
    node_groups: list[str]
    mfree_mib: int
    mtotal_mib: int
    dfree_mib: int
    dtotal_mib: int
    ctotal: int
    pinst_cnt: int
    reserved_mib: int
    reserved_disk_mib: int
    reserved_instances: int
    stats_at: datetime | None
    last_job_id: int


@frozen
class NodeFigures:
    """Sums over the nodes of a cluster that take instances (MiB)."""

    mfree_mib: int
    mtotal_mib: int
    dfree_mib: int
    dtotal_mib: int
    ctotal: int
    pinst_cnt: int


@frozen
class Size:
    """What an instance takes of a cluster (MiB), and how full its CPUs may get.

    ``vcpus`` are those counted per instance, ``ratio`` the most virtual CPUs per real one.
    """

    ram_mib: int
    disk_mib: int
    vcpus: int = 4
    ratio: float = 3.0
