"""Disks of an instance: made at its creation, added, removed, detached, attached, renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from synnefo_tx.ganeti.memory.cluster import (
    NOT_UNIQUE,
    WRONG_INPUT,
    Cluster,
    OpFailed,
    prereq,
)
from synnefo_tx.ganeti.memory.model import Disk, Instance
from synnefo_tx.ganeti.memory.run import Run

Results = list[list[Any]]

_KEYS = frozenset({"size", "name", "mode", "provider", "adopt", "spindles", "access"})


def shown_size(size_mib: int) -> str:
    """The size as Ganeti's log puts it: ``256M``, ``1.5G``."""
    return f"{size_mib}M" if size_mib < 1024 else f"{round(size_mib / 1024, 1):.1f}G"


def check_disk(cluster: Cluster, template: str, spec: Mapping[str, Any], missing: str) -> None:
    """What must hold for a disk to be made. Raises OpFailed; ``missing`` is for a missing size."""
    size = spec.get("size")
    if size is None:
        raise prereq(missing, WRONG_INPUT)
    if type(size) is not int or size <= 0:
        raise prereq(f"Invalid disk size '{size}'", WRONG_INPUT)
    if template == "ext" and not spec.get("provider"):
        raise prereq("Missing provider for template 'ext'", WRONG_INPUT)
    unknown = sorted(set(spec) - _KEYS)
    if template != "ext" and unknown:
        raise OpFailed("TypeEnforcementError", f"Unknown parameter '{unknown[0]}'")


def make_disk(run: Run, template: str, spec: Mapping[str, Any], instance_name: str) -> Disk:
    """The disk; external storage must know the provider. Raises OpFailed."""
    provider = spec.get("provider")
    if template == "ext" and provider not in run.cluster.config.providers:
        run.warning("Device creation failed")
        raise OpFailed(
            "OpExecError",
            f"Can't create block device for instance {instance_name}: Directory for External "
            f"Storage Provider {provider} not found in search path",
        )
    params = {key: value for key, value in spec.items() if key not in ("size", "name")}
    return Disk(run.cluster.new_uuid(), spec.get("name"), spec["size"], template, params)


def change_disks(
    run: Run, instance: Instance, hotplug: bool
) -> tuple[list[Disk], list[Disk], list[Disk], Results]:
    """Disks after ``op["disks"]``, those detached, those attached, what is reported. OpFailed."""
    after, results = list(instance.disks), Results()
    detached: list[Disk] = []
    attached: list[Disk] = []
    for change in run.op["disks"]:
        action, params = change[0], change[-1]
        identifier = change[1] if len(change) == 3 else -1
        at = len(after)
        if action in ("add", "attach"):
            disk = _joining(run, instance, action, params, after)
            attached += [disk] if action == "attach" else []
            after.append(disk)
            results.append([f"disk/{at}", f"{action}:size={disk.size_mib},mode=rw"])
        elif action in ("remove", "detach"):
            at = _find(after, identifier)
            detached += [after[at]] if action == "detach" else []
            del after[at]
            results.append([f"disk/{at}", action])
        else:
            at = _find(after, identifier)
            after[at] = attrs.evolve(after[at], name=params.get("name", after[at].name))
            results.append([f"disk.name/{at}", after[at].name])
        if hotplug and action != "modify":
            results.append([f"disk/{at}", run.hotplug()])
    return after, detached, attached, results


def _joining(
    run: Run, instance: Instance, action: str, params: Mapping[str, Any], others: Sequence[Disk]
) -> Disk:
    if action == "add":
        template = instance.disk_template
        if template == "diskless":
            raise prereq("Disk operations not supported for diskless instances", WRONG_INPUT)
        check_disk(run.cluster, template, params, "Required disk parameter 'size' missing")
        if params.get("name") is not None and params["name"] in [disk.name for disk in others]:
            raise prereq(f"disk name '{params['name']}' already used", NOT_UNIQUE)
        disk = make_disk(run, template, params, instance.name)
    else:
        disk = _detached(run.cluster, params.get("name") or params.get("uuid"))
    run.log(f"* disk {len(others)}, size {shown_size(disk.size_mib)}")
    run.info(f"Waiting for instance {instance.name} to sync disks")
    run.info(f"Instance {instance.name}'s disks are in sync")
    return disk


def _detached(cluster: Cluster, wanted: Any) -> Disk:
    for disk in cluster.store.detached.values():
        if wanted is not None and wanted in (disk.name, disk.uuid):
            return disk
    raise prereq(f"Lookup of disk '{wanted}' failed")


def _find(disks: Sequence[Disk], identifier: Any) -> int:
    for at, disk in enumerate(disks):
        if identifier in (disk.name, disk.uuid) and identifier is not None:
            return at
    if isinstance(identifier, int) or str(identifier).lstrip("-").isdigit():
        at = int(identifier)
        if -len(disks) <= at < len(disks):
            return at % len(disks)
    raise prereq(f"Lookup of disk '{identifier}' failed")
