"""Pure reading of RAPI's nodes and cluster documents (ganeti-backend reference §3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from synnefo_tx.ganeti.backends.model import NodeFigures


def sum_nodes(nodes: Iterable[Mapping[str, Any]]) -> NodeFigures:
    """Sums over nodes that are vm_capable, neither drained nor offline, and have a CPU count."""
    sums = dict.fromkeys(("mfree", "mtotal", "dfree", "dtotal", "ctotal", "pinst_cnt"), 0)
    for node in nodes:
        usable = node.get("vm_capable") and not node.get("drained") and not node.get("offline")
        if usable and node.get("cnodes"):
            for key in sums:
                sums[key] += int(node.get(key) or 0)
    return NodeFigures(
        mfree_mib=sums["mfree"],
        mtotal_mib=sums["mtotal"],
        dfree_mib=sums["dfree"],
        dtotal_mib=sums["dtotal"],
        ctotal=sums["ctotal"],
        pinst_cnt=sums["pinst_cnt"],
    )


def disk_templates(info: Mapping[str, Any]) -> list[str]:
    """Templates that are enabled and allowed by the cluster's instance policy."""
    allowed = (info.get("ipolicy") or {}).get("disk-templates") or []
    enabled = info.get("enabled_disk_templates")
    if enabled is None:
        return sorted(allowed)
    return sorted(set(enabled) & set(allowed))


def node_addresses(nodes: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The primary address of each node by its name; screens are dialled there."""
    return {str(node["name"]): str(node["pip"]) for node in nodes if node.get("pip")}
