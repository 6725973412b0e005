"""NICs of an instance: made at its creation, added, removed, modified."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from synnefo_tx.ganeti.memory.addresses import free_address, is_available
from synnefo_tx.ganeti.memory.cluster import (
    NOT_UNIQUE,
    UNKNOWN_ENTITY,
    WRONG_INPUT,
    Cluster,
    prereq,
)
from synnefo_tx.ganeti.memory.model import Network, Nic, Node
from synnefo_tx.ganeti.memory.run import Run

Results = list[list[Any]]

MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def check_names(specs: Sequence[Mapping[str, Any]], others: Sequence[Nic]) -> None:
    """Names are unique within an instance. Raises OpFailed."""
    names = [nic.name for nic in others] + [spec.get("name") for spec in specs]
    given = [name for name in names if name is not None]
    for name in given:
        if given.count(name) > 1:
            raise prereq(f"NIC name '{name}' already used", NOT_UNIQUE)


def check_spec(cluster: Cluster, spec: Mapping[str, Any]) -> None:
    """What can be said without knowing the node. Raises OpFailed."""
    ip, network = spec.get("ip"), spec.get("network")
    if network is not None:
        cluster.network(network)
    if ip == "pool" and network is None:
        raise prereq("if ip=pool, parameter network must be passed too", WRONG_INPUT)
    if ip not in (None, "none", "pool") and not _is_ipv4(ip):
        raise prereq(f"Invalid IP address '{ip}'", WRONG_INPUT)


def make_nic(run: Run, spec: Mapping[str, Any], node: Node, held: Sequence[Nic], index: int) -> Nic:
    """The NIC that ``spec`` asks for; ``held`` are those that exist or are about to. OpFailed."""
    cluster, name = run.cluster, spec.get("network")
    network = cluster.network(name) if name is not None else None
    mode, link, vlan = "bridged", cluster.config.link, ""
    if network is not None:
        if node.group not in network.groups:
            text = f"Network '{network.name}' is not connected to group '{node.group}'"
            raise prereq(text, WRONG_INPUT)
        mode, link, vlan = network.groups[node.group]
        if run.op["OP_ID"] == "OP_INSTANCE_CREATE":
            run.info(f"NIC/{index} inherits netparams {[link, mode, vlan]}")
    return Nic(
        uuid=cluster.new_uuid(),
        name=spec.get("name"),
        mac=_mac(cluster, network, spec, {nic.mac for nic in held}),
        ip=_address(run, spec, held),
        network=network.uuid if network else None,
        mode=spec.get("mode") or mode,
        link=spec.get("link") or link,
        vlan=spec.get("vlan") or vlan,
    )


def _mac(cluster: Cluster, network: Network | None, spec: Mapping[str, Any], held: set[str]) -> str:
    wanted = spec.get("mac")
    if wanted in (None, "auto", "generate"):
        return cluster.new_mac(network.mac_prefix if network else None, held)
    mac = str(wanted).lower()
    if not MAC.fullmatch(mac):
        raise prereq(f"Invalid MAC address '{wanted}'", WRONG_INPUT)
    if mac in cluster.macs() | held:
        raise prereq(f"MAC address {mac} already in use in cluster", NOT_UNIQUE)
    return mac


def _address(run: Run, spec: Mapping[str, Any], held: Sequence[Nic]) -> str | None:
    ip = spec.get("ip")
    if ip in (None, "none") or spec.get("network") is None:
        return None if ip == "none" else ip
    network = run.cluster.network(spec["network"])
    if ip == "pool":
        chosen = free_address(run.cluster, network, held)
        if chosen is None:
            raise prereq(f"Unable to get a free IP for NIC 0 from network '{network.name}'")
        run.info(f"Chose IP {chosen} from network {network.name}")
        return chosen
    reserved_too = bool(run.op["conflicts_check"])
    if not is_available(run.cluster, network, ip, held, reserved_too):
        if run.op["OP_ID"] == "OP_INSTANCE_CREATE":
            text = f"IP address {ip} already in use or does not belong to network {network.name}"
        else:
            text = f"IP {ip} not available in network {network.name}"
        raise prereq(text, NOT_UNIQUE)
    return str(ip)


def _is_ipv4(text: Any) -> bool:
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


def find_index(kind: str, items: Sequence[Any], identifier: Any) -> int:
    """Position of a NIC or disk by index, name or UUID; -1 is the last. Raises OpFailed."""
    try:
        at = int(identifier)
    except (TypeError, ValueError):
        for position, item in enumerate(items):
            if identifier in (item.name, item.uuid):
                return position
        raise prereq(f"Cannot find {kind} with identifier {identifier}", UNKNOWN_ENTITY) from None
    if at == -1 and items:
        return len(items) - 1
    if 0 <= at < len(items):
        return at
    raise prereq(f"{kind}/{at} does not exist", UNKNOWN_ENTITY)


def change_nics(
    run: Run, nics: Sequence[Nic], node: Node, hotplug: bool
) -> tuple[list[Nic], Results]:
    """The NICs after ``op["nics"]``, and what the job reports. Raises OpFailed."""
    after, results = list(nics), Results()
    for change in run.op["nics"]:
        action, params = change[0], change[-1]
        identifier = change[1] if len(change) == 3 else -1
        if action == "add":
            check_names([params], after)
            check_spec(run.cluster, params)
            nic = make_nic(run, params, node, [*nics, *after], len(after))
            label = f"nic.{len(after)}"
            results.append([label, _added(run.cluster, nic)])
            after.append(nic)
        elif action == "remove":
            at = find_index("NIC", after, identifier)
            del after[at]
            label = f"NIC/{at}"
            results.append([label, "remove"])
        else:
            at = find_index("NIC", after, identifier)
            after[at], label = _modified(run, after, at, params), ""
            results += _modification(after[at], at, params)
        if hotplug and label:
            results.append([label, run.hotplug()])
    return after, results


def _added(cluster: Cluster, nic: Nic) -> str:
    network = cluster.network_by_uuid(nic.network)
    return (
        f"add:mac={nic.mac},ip={nic.ip},mode={nic.mode},link={nic.link},"
        f"network={network and network.name}"
    )


def _modified(run: Run, nics: Sequence[Nic], at: int, params: Mapping[str, Any]) -> Nic:
    nic, others = nics[at], [*nics[:at], *nics[at + 1 :]]
    if params.get("name") is not None:
        check_names([params], others)
    changes: dict[str, Any] = {key: params[key] for key in ("name", "mac") if key in params}
    network = run.cluster.network_by_uuid(nic.network)
    if "ip" in params and params["ip"] != nic.ip:
        spec = {"ip": params["ip"], "network": network and network.name}
        check_spec(run.cluster, spec)
        changes["ip"] = _address(run, spec, others)
    return attrs.evolve(nic, **changes)


def _modification(nic: Nic, at: int, params: Mapping[str, Any]) -> Results:
    changed = [[f"nic.{key}/{at}", getattr(nic, key)] for key in ("ip", "name", "mac")]
    changed = [entry for entry in changed if entry[0].split(".")[1].split("/")[0] in params]
    values = [("link", nic.link), ("mode", nic.mode), ("vlan", nic.vlan)]
    return changed + [[f"nic.{key}/{at}", value] for key, value in values]
