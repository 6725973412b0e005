"""OP_INSTANCE_SET_PARAMS: size, NICs, disks, parameters, offline."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synnefo_tx.ganeti.memory.cluster import WRONG_INPUT, WRONG_STATE, prereq
from synnefo_tx.ganeti.memory.disks import change_disks
from synnefo_tx.ganeti.memory.hypervisors import check_hvparams
from synnefo_tx.ganeti.memory.lifecycle import check_size
from synnefo_tx.ganeti.memory.model import Disk, Instance
from synnefo_tx.ganeti.memory.nics import change_nics
from synnefo_tx.ganeti.memory.run import Run
from synnefo_tx.ganeti.memory.store import Change

_NO_HOTPLUG = "Hotplug is not supported: Hotplug is not supported by this hypervisor"
_CHANGES = ("nics", "disks", "beparams", "hvparams", "osparams", "os_name", "offline")


def changes_something(op: Any) -> bool:
    """Whether the opcode asks for anything at all."""
    return any(op[name] not in (None, [], {}) for name in _CHANGES)


async def modify(run: Run) -> Any:
    """Check all, take the time, then change all at once; gives pairs of what was changed."""
    cluster, op = run.cluster, run.op
    instance = cluster.instance(op["instance_name"])
    hotplug = _hotplug(run, instance)
    beparams = cluster.checked_beparams(op["beparams"], instance.beparams)
    check_size(beparams)
    check_hvparams(instance.hypervisor, op["hvparams"], instance.hvparams)
    admin_state, state_results = _offline(run, instance)
    await run.pause(0.5)
    disks, detached, attached, results = change_disks(run, instance, hotplug)
    node = cluster.store.nodes[instance.pnode]
    nics, nic_results = change_nics(run, instance.nics, node, hotplug)
    instance = cluster.save(
        instance,
        *_moved(detached, attached),
        beparams=beparams,
        hvparams={**instance.hvparams, **op["hvparams"]},
        osparams={**instance.osparams, **op["osparams"]},
        os=op["os_name"] or instance.os,
        admin_state=admin_state,
        nics=tuple(nics),
        disks=tuple(disks),
    )
    results += nic_results
    results += [[f"be/{name}", value] for name, value in op["beparams"].items()]
    results += [[f"hv/{name}", value] for name, value in op["hvparams"].items()]
    return results + state_results


def _moved(detached: Iterable[Disk], attached: Iterable[Disk]) -> list[Change]:
    gone: list[Change] = [("detached", disk.uuid, disk) for disk in detached]
    return gone + [("detached", disk.uuid, None) for disk in attached]


def _hotplug(run: Run, instance: Instance) -> bool:
    """Whether devices are changed in the running guest too. Raises OpFailed."""
    op = run.op
    if not (op["nics"] or op["disks"]) or not (op["hotplug"] or op["hotplug_if_possible"]):
        return False
    if instance.hypervisor == "kvm" and instance.guest is not None:
        return True
    if op["hotplug"]:
        text = f"Hotplug is not possible: {_NO_HOTPLUG}"
        raise prereq(text, WRONG_STATE)
    run.warning(_NO_HOTPLUG)
    run.info("Modification will take place without hotplugging.")
    return False


def _offline(run: Run, instance: Instance) -> tuple[str, list[list[str]]]:
    wanted = run.op["offline"]
    if wanted is None:
        return instance.admin_state, []
    if wanted and instance.admin_state != "down":
        text = f"Instance '{instance.name}' is marked to be {instance.admin_state}, "
        raise prereq(text + "can't turn to offline", WRONG_STATE)
    if not wanted and instance.admin_state != "offline":
        raise prereq(f"Instance '{instance.name}' is not offline", WRONG_INPUT)
    state = "offline" if wanted else "down"
    return state, [["admin_state", state]]
