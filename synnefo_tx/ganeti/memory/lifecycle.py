"""Operations on instances: create, remove, start, stop, reboot, reinstall, grow, tag.

Checks, texts and codes as Ganeti 3.0 was seen to give them.
"""

from __future__ import annotations

import re
from typing import Any

import attrs

from synnefo_tx.ganeti.memory.allocation import choose_node, free_memory_mib
from synnefo_tx.ganeti.memory.cluster import (
    ALREADY_EXISTS,
    NO_RESOURCES,
    UNKNOWN_ENTITY,
    WRONG_INPUT,
    WRONG_STATE,
    OpFailed,
    prereq,
)
from synnefo_tx.ganeti.memory.config import (
    BACKEND_PARAMETERS,
    MAX_INSTANCE_MEMORY_MIB,
    MAX_VCPUS,
    OS_PARAMETERS,
)
from synnefo_tx.ganeti.memory.disks import check_disk, make_disk, shown_size
from synnefo_tx.ganeti.memory.hypervisors import check_hvparams
from synnefo_tx.ganeti.memory.installer import InstallFailed, disk_text, fetch_parameters
from synnefo_tx.ganeti.memory.model import Instance, Nic, Node
from synnefo_tx.ganeti.memory.nics import check_names, check_spec, make_nic
from synnefo_tx.ganeti.memory.run import Run

_TAG = re.compile(r"[\w.+*/:@-]+")
_TAG_MAX_LENGTH = 128


async def create(run: Run) -> Any:
    """OP_INSTANCE_CREATE: what is refused early leaves nothing, a failed OS script leaves it."""
    beparams = _check_creation(run)
    await run.pause(0.3)
    node = _place(run, beparams)
    instance = _configure(run, node, beparams)
    if instance.disks:
        run.log("* running the instance OS create scripts...")
        await run.pause(0.3)
        instance = await _install(run, instance)
    if run.op["start"]:
        run.log("* starting instance...")
        await run.pause(0.1)
        start_guest(run, instance)
    return [node.name]


def _check_creation(run: Run) -> Any:
    """What Ganeti checks before it looks for a node; gives the full backend parameters."""
    cluster, op = run.cluster, run.op
    name = op["instance_name"]
    if op["name_check"]:
        text = f"The given name ({name}) does not resolve: Name or service not known"
        raise prereq(text, "resolver_error")
    if name in cluster.store.instances:
        raise prereq(f"Instance '{name}' is already in the cluster", ALREADY_EXISTS)
    templates = cluster.config.disk_templates
    template = _template(run)
    if template not in templates:
        known = ",".join(templates)
        text = f"Disk template '{template}' is not enabled in cluster. Enabled disk templates are: "
        raise prereq(text + known)
    hypervisor = op["hypervisor"] or cluster.config.hypervisors[0]
    if hypervisor not in cluster.config.hypervisors:
        known = ",".join(cluster.config.hypervisors)
        text = f"Selected hypervisor ({hypervisor}) not enabled in the cluster ({known})"
        raise prereq(text, WRONG_STATE)
    check_names(op["nics"], [])
    for nic in op["nics"]:
        check_spec(cluster, nic)
    for disk in op["disks"]:
        check_disk(cluster, template, disk, "Missing disk size")
    beparams = cluster.checked_beparams(op["beparams"], {})
    check_tags(op["tags"])
    check_size(beparams)
    check_hvparams(hypervisor, op["hvparams"])
    return beparams


def _template(run: Run) -> str:
    template = run.op["disk_template"] or run.cluster.config.disk_templates[0]
    return template if run.op["disks"] else "diskless"


def check_size(beparams: Any) -> None:
    """The instance policy. Raises OpFailed."""
    bounds = {"vcpus": ("cpu-count", 1, MAX_VCPUS)}
    bounds["maxmem"] = ("memory-size", 4, MAX_INSTANCE_MEMORY_MIB)
    for name, (shown, least, most) in bounds.items():
        if not least <= beparams.get(name, least) <= most:
            text = f"{shown} value {beparams[name]} is not in range [{least}, {most}]"
            text = f"Instance allocation to group default violates policy: {text}"
            raise prereq(text, WRONG_INPUT)


def check_tags(tags: Any) -> None:
    """Ganeti's rules for tags. Raises OpFailed."""
    for tag in tags:
        if len(tag) > _TAG_MAX_LENGTH:
            raise OpFailed("TagError", f"Tag too long (maximum {_TAG_MAX_LENGTH} characters)")
        if not _TAG.fullmatch(tag):
            raise OpFailed("TagError", "Tag contains invalid characters")


def _place(run: Run, beparams: Any) -> Node:
    cluster, op = run.cluster, run.op
    name = op["instance_name"]
    if op["pnode"] is not None:
        node = cluster.store.nodes.get(op["pnode"])
        if node is None:
            raise prereq(f"Node '{op['pnode']}' not known", UNKNOWN_ENTITY)
        return node
    networks = [cluster.network(nic["network"]) for nic in op["nics"] if nic.get("network")]
    local = _template(run) not in ("ext", "diskless")
    disk_mib = sum(disk["size"] for disk in op["disks"]) if local else 0
    node = choose_node(cluster, name, _memory_mib(beparams), disk_mib, networks)
    run.info(f"Selected nodes for instance {name} via iallocator hail: {node.name}")
    return node


def _memory_mib(beparams: Any) -> int:
    return int({**BACKEND_PARAMETERS, **beparams}["maxmem"])


def _configure(run: Run, node: Node, beparams: Any) -> Instance:
    """Allot what the instance gets and write it to the configuration, in one step."""
    cluster, op = run.cluster, run.op
    name, template = op["instance_name"], _template(run)
    nics: list[Nic] = []
    for spec in op["nics"]:
        nics.append(make_nic(run, spec, node, nics, len(nics)))
    _check_os(run, node, op["os_type"], op["osparams"])
    hypervisor = op["hypervisor"] or cluster.config.hypervisors[0]
    port = cluster.new_port() if hypervisor == "kvm" else None
    for index, spec in enumerate(op["disks"]):
        run.log(f"* disk {index}, size {shown_size(spec['size'])}")
    run.log("* creating instance disks...")
    disks = tuple(make_disk(run, template, spec, name) for spec in op["disks"])
    now = cluster.clock.seconds()
    instance = Instance(
        name=name,
        uuid=cluster.new_uuid(),
        os=op["os_type"] or "",
        hypervisor=hypervisor,
        disk_template=template,
        pnode=node.name,
        admin_state="down",
        beparams=beparams,
        hvparams=dict(op["hvparams"]),
        osparams=dict(op["osparams"]),
        nics=tuple(nics),
        disks=disks,
        tags=tuple(sorted(set(op["tags"]))),
        ctime=now,
        mtime=now,
        serial_no=2,
        network_port=port,
    )
    run.log(f"adding instance {name} to cluster config")
    run.log("adding disks to cluster config")
    cluster.store.commit(("instances", name, instance))
    return instance


def _check_os(run: Run, node: Node, os_type: str | None, osparams: Any) -> None:
    text = f"OS Parameters validation failed on node {node.name}: "
    name = (os_type or "").split("+")[0]
    if name not in run.cluster.config.os_names:
        raise OpFailed("OpExecError", f"{text}Directory for OS {name} not found in search path")
    unknown = [key for key in osparams if key not in OS_PARAMETERS]
    if unknown:
        text += f"The following parameters are not supported by the OS {name}: "
        raise OpFailed("OpExecError", text + ", ".join(unknown))


async def _install(run: Run, instance: Instance) -> Instance:
    """Run the OS script; what it writes is on the root disk afterwards. Raises OpFailed."""
    osparams = instance.osparams
    try:
        await run.sleep(float(osparams.get("os_sleep") or 0))
        if osparams.get("os_fail"):
            raise InstallFailed(f"create was told to fail: {osparams['os_fail']}")
        fetched: dict[str, Any] = {}
        url = osparams.get("config_url")
        if url and run.fetch is not None:
            fetched = await fetch_parameters(run.fetch, url, run.cluster.clock)
        text = disk_text(instance.name, osparams, fetched, run.cluster.random)
    except (InstallFailed, ValueError) as failed:
        raise OpFailed(
            "OpExecError",
            f"Could not add os for instance {instance.name} on node {instance.pnode}: OS create "
            "script failed (exited with exit code 1), last lines in the log file:\n"
            f"{failed}",
        ) from failed
    root = attrs.evolve(instance.disks[0], content=text)
    return run.cluster.save(instance, disks=(root, *instance.disks[1:]))


def start_guest(run: Run, instance: Instance) -> Instance:
    """Run the instance's process with what it is configured for. Raises OpFailed."""
    node = run.cluster.store.nodes[instance.pnode]
    needed, available = instance.memory_mib, free_memory_mib(run.cluster, node)
    if instance.guest is None and available < needed:
        raise prereq(
            f"Not enough memory on node {node.name} for starting instance {instance.name}: "
            f"needed {needed} MiB, available {available} MiB",
            NO_RESOURCES,
        )
    guest = instance.guest or (needed, instance.all_beparams["vcpus"])
    return run.cluster.save(instance, admin_state="up", guest=guest)


def require_online(instance: Instance) -> None:
    """Most operations leave offline instances alone. Raises OpFailed."""
    if instance.admin_state == "offline":
        raise prereq(
            f"Instance '{instance.name}' is marked to be offline, can't use instance from outside "
            "down, up states",
            WRONG_STATE,
        )


async def remove(run: Run) -> Any:
    """OP_INSTANCE_REMOVE: shut down, and remove with its disks."""
    instance = run.cluster.instance(run.op["instance_name"])
    await run.pause(0.7)
    run.cluster.store.commit(("instances", instance.name, None))
    return None


async def startup(run: Run) -> Any:
    """OP_INSTANCE_STARTUP: what runs is left running."""
    instance = run.cluster.instance(run.op["instance_name"])
    require_online(instance)
    await run.pause(0.7)
    start_guest(run, instance)
    return None


async def shutdown(run: Run) -> Any:
    """OP_INSTANCE_SHUTDOWN: what is stopped stays so."""
    instance = run.cluster.instance(run.op["instance_name"])
    require_online(instance)
    await run.pause(0.7)
    run.cluster.save(instance, admin_state="down", guest=None)
    return None


async def reboot(run: Run) -> Any:
    """OP_INSTANCE_REBOOT: a stopped instance is started."""
    instance = run.cluster.instance(run.op["instance_name"])
    require_online(instance)
    if instance.guest is None:
        run.info(f"Instance {instance.name} was already stopped, starting now")
    elif run.op["reboot_type"] != "soft":
        instance = run.cluster.save(instance, guest=None)
    await run.pause(0.7)
    start_guest(run, instance)
    return None


async def reinstall(run: Run) -> Any:
    """OP_INSTANCE_REINSTALL: run the OS script again on a stopped instance."""
    instance = run.cluster.instance(run.op["instance_name"])
    if instance.guest is not None:
        text = f"Instance '{instance.name}' is marked to be up, cannot reinstall"
        raise prereq(text, WRONG_STATE)
    os_type = run.op["os_type"] or instance.os
    osparams = {**instance.osparams, **run.op["osparams"]}
    _check_os(run, run.cluster.store.nodes[instance.pnode], os_type, osparams)
    if run.op["os_type"]:
        run.log(f"Changing OS scripts to '{os_type}'...")
    instance = run.cluster.save(instance, os=os_type, osparams=osparams)
    run.info("Running instance OS create scripts...")
    await run.pause(0.3)
    await _install(run, instance)
    return None


async def grow_disk(run: Run) -> Any:
    """OP_INSTANCE_GROW_DISK: make a disk larger."""
    instance, at = run.cluster.instance(run.op["instance_name"]), run.op["disk"]
    if at >= len(instance.disks):
        text = f"Invalid disk index {at} (instance has {len(instance.disks)} disks)"
        raise prereq(text, WRONG_INPUT)
    disk, amount = instance.disks[at], run.op["amount"]
    size_mib = amount if run.op["absolute"] else disk.size_mib + amount
    if size_mib < disk.size_mib:
        raise prereq(f"Requested size ({size_mib}) is smaller than current disk size", WRONG_STATE)
    by, to = shown_size(size_mib - disk.size_mib), shown_size(size_mib)
    run.log(f"Growing disk {at} of instance '{instance.name}' by {by} to {to}")
    await run.pause(0.7)
    grown = attrs.evolve(disk, size_mib=size_mib)
    run.cluster.save(instance, disks=(*instance.disks[:at], grown, *instance.disks[at + 1 :]))
    return None


async def set_tags(run: Run) -> Any:
    """OP_TAGS_SET."""
    instance = run.cluster.instance(run.op["name"])
    check_tags(run.op["tags"])
    await run.pause(0.5)
    run.cluster.save(instance, tags=tuple(sorted({*instance.tags, *run.op["tags"]})))
    return None


async def delete_tags(run: Run) -> Any:
    """OP_TAGS_DEL: every tag named must be there."""
    instance = run.cluster.instance(run.op["name"])
    check_tags(run.op["tags"])
    missing = sorted(set(run.op["tags"]) - set(instance.tags))
    if missing:
        shown = ", ".join(f"'{tag}'" for tag in missing)
        raise prereq(f"Tag(s) {shown} not found", UNKNOWN_ENTITY)
    await run.pause(0.5)
    kept = tuple(tag for tag in instance.tags if tag not in run.op["tags"])
    run.cluster.save(instance, tags=kept)
    return None
