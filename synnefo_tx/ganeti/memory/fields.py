"""What RAPI shows of each object, with Ganeti's names of fields."""

from __future__ import annotations

from synnefo_tx.ganeti.memory import addresses
from synnefo_tx.ganeti.memory.allocation import (
    HYPERVISOR_MEMORY_MIB,
    free_disk_mib,
    free_memory_mib,
)
from synnefo_tx.ganeti.memory.cluster import Cluster
from synnefo_tx.ganeti.memory.config import (
    BACKEND_PARAMETERS,
    HYPERVISOR_PARAMETERS,
    MAX_INSTANCE_MEMORY_MIB,
    MAX_VCPUS,
)
from synnefo_tx.ganeti.memory.model import Group, Instance, Job, Json, Network, Nic, Node

STATUSES = {
    ("up", True): "running",
    ("down", False): "ADMIN_down",
    ("up", False): "ERROR_down",
    ("down", True): "ERROR_up",
    ("offline", False): "ADMIN_offline",
    ("offline", True): "ERROR_up",
}


def instance_fields(cluster: Cluster, one: Instance) -> Json:
    """``/2/instances/X``."""
    running = one.guest is not None
    memory_mib, vcpus = one.guest or (None, None)
    return {
        "name": one.name,
        "uuid": one.uuid,
        "admin_state": one.admin_state,
        "oper_state": running,
        "status": STATUSES[one.admin_state, running],
        "os": one.os,
        "pnode": one.pnode,
        "snodes": [],
        "disk_template": one.disk_template,
        "network_port": one.network_port,
        "beparams": {**one.all_beparams, "memory": one.memory_mib},
        "hvparams": _hvparams(one),
        "custom_beparams": dict(one.beparams),
        "custom_hvparams": dict(one.hvparams),
        "oper_ram": memory_mib,
        "oper_vcpus": vcpus,
        "tags": list(one.tags),
        "ctime": one.ctime,
        "mtime": one.mtime,
        "serial_no": one.serial_no,
        "disk.names": [disk.name for disk in one.disks],
        "disk.sizes": [disk.size_mib for disk in one.disks],
        "disk.spindles": [None for disk in one.disks],
        "disk.uuids": [disk.uuid for disk in one.disks],
        "disk_usage": sum(disk.size_mib for disk in one.disks),
        **_nic_fields(cluster, one.nics),
    }


def _hvparams(one: Instance) -> Json:
    shown = {} if one.hypervisor == "fake" else HYPERVISOR_PARAMETERS[one.hypervisor]
    return {**shown, **one.hvparams}


def _nic_fields(cluster: Cluster, nics: tuple[Nic, ...]) -> Json:
    networks = [cluster.network_by_uuid(nic.network) for nic in nics]
    return {
        "nic.ips": [nic.ip for nic in nics],
        "nic.macs": [nic.mac for nic in nics],
        "nic.modes": [nic.mode for nic in nics],
        "nic.links": [nic.link for nic in nics],
        "nic.bridges": [nic.link if nic.mode == "bridged" else None for nic in nics],
        "nic.names": [nic.name for nic in nics],
        "nic.uuids": [nic.uuid for nic in nics],
        "nic.networks": [nic.network for nic in nics],
        "nic.networks.names": [network and network.name for network in networks],
        "custom_nicparams": [
            {"mode": nic.mode, "link": nic.link, "vlan": nic.vlan} for nic in nics
        ],
    }


def network_fields(cluster: Cluster, network: Network) -> Json:
    """``/2/networks/N``."""
    taken = addresses.taken_map(cluster, network)
    return {
        "name": network.name,
        "uuid": network.uuid,
        "network": network.cidr,
        "gateway": network.gateway,
        "network6": network.cidr6,
        "gateway6": network.gateway6,
        "mac_prefix": network.mac_prefix,
        "map": taken,
        "free_count": taken.count("."),
        "reserved_count": taken.count("X"),
        "external_reservations": ", ".join(addresses.external_reservations(network)),
        "group_list": [[name, *link] for name, link in network.groups.items()],
        "inst_list": [
            one.name
            for one in cluster.store.instances.values()
            if network.uuid in [nic.network for nic in one.nics]
        ],
        "tags": list(network.tags),
        "ctime": network.ctime,
        "mtime": network.ctime,
        "serial_no": 1,
    }


def node_fields(cluster: Cluster, node: Node) -> Json:
    """``/2/nodes/N``; memory and disk in MiB, null for what an offline node cannot tell."""
    primary = [one.name for one in cluster.on_node(node)]
    live = {
        "mtotal": node.memory_mib,
        "mnode": HYPERVISOR_MEMORY_MIB,
        "mfree": free_memory_mib(cluster, node),
        "dtotal": node.disk_mib,
        "dfree": free_disk_mib(cluster, node),
        "ctotal": node.cpus,
        "cnos": node.cpus,
        "cnodes": 1,
        "csockets": 1,
    }
    master = node is next(iter(cluster.store.nodes.values()))
    return {
        "name": node.name,
        "uuid": node.uuid,
        "role": "O" if node.offline else "D" if node.drained else "M" if master else "C",
        "offline": node.offline,
        "drained": node.drained,
        "vm_capable": node.vm_capable,
        "master_candidate": True,
        "master_capable": True,
        "group.uuid": cluster.store.groups[node.group].uuid,
        "pip": node.pip,
        "sip": node.pip,
        "pinst_cnt": len(primary),
        "pinst_list": primary,
        "sinst_cnt": 0,
        "sinst_list": [],
        "sptotal": None,
        "spfree": None,
        "ndparams": {},
        "tags": [],
        "ctime": node.ctime,
        "mtime": node.ctime,
        "serial_no": 1,
        **(dict.fromkeys(live) if node.offline else live),
    }


def _ipolicy(cluster: Cluster) -> Json:
    least = {"memory-size": 4, "cpu-count": 1}
    most = {"memory-size": MAX_INSTANCE_MEMORY_MIB, "cpu-count": MAX_VCPUS}
    templates = list(cluster.config.disk_templates)
    return {"minmax": [{"min": least, "max": most}], "disk-templates": templates}


def group_fields(cluster: Cluster, group: Group) -> Json:
    """``/2/groups/G``."""
    nodes = [node.name for node in cluster.store.nodes.values() if node.group == group.name]
    return {
        "name": group.name,
        "uuid": group.uuid,
        "alloc_policy": "preferred",
        "node_cnt": len(nodes),
        "node_list": nodes,
        "ipolicy": _ipolicy(cluster),
        "tags": [],
        "ctime": group.ctime,
        "mtime": group.ctime,
        "serial_no": 1,
    }


def cluster_fields(cluster: Cluster) -> Json:
    """``/2/info``."""
    config = cluster.config
    return {
        "name": config.name,
        "master": next(iter(cluster.store.nodes)),
        "software_version": "3.0.2",
        "protocol_version": 3_000_000,
        "config_version": 3_000_000,
        "os_api_version": 20,
        "export_version": 0,
        "architecture": ["64bits", "x86_64"],
        "default_hypervisor": config.hypervisors[0],
        "enabled_hypervisors": list(config.hypervisors),
        "enabled_disk_templates": list(config.disk_templates),
        "default_iallocator": "hail",
        "ipolicy": _ipolicy(cluster),
        "beparams": {"default": dict(BACKEND_PARAMETERS)},
        "hvparams": {name: dict(HYPERVISOR_PARAMETERS[name]) for name in config.hypervisors},
        "nicparams": {"default": {"mode": "bridged", "link": config.link, "vlan": ""}},
        "mac_prefix": config.mac_prefix,
        "tags": [],
    }


def _stamp(seconds: float | None) -> list[int] | None:
    return None if seconds is None else [int(seconds), int(seconds % 1 * 1_000_000)]


def job_fields(job: Job) -> Json:
    """All query fields of a job."""
    return {
        "id": job.id,
        "status": job.status,
        "ops": [dict(op.input) for op in job.ops],
        "summary": [op.summary for op in job.ops],
        "opstatus": [op.status for op in job.ops],
        "opresult": [op.result for op in job.ops],
        "oplog": [[list(entry) for entry in op.log] for op in job.ops],
        "received_ts": _stamp(job.received),
        "start_ts": _stamp(job.started),
        "end_ts": _stamp(job.ended),
        "archived": job.archived,
    }
