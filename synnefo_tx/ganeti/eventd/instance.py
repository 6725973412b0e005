"""What a query for an instance answers, as messages tell it (§6.2). Pure."""

from __future__ import annotations

import json
from typing import Any

from synnefo_tx.ganeti.model import Json

FIELDS = (
    "name", "tags", "nic.names", "nic.networks.names", "nic.ips", "nic.macs", "nic.modes",
    "nic.links", "nic.uuids", "disk.names", "disk.sizes", "disk.uuids", "hvparams",
)  # fmt: skip
NIC_FIELDS = {
    "name": "nic.names",
    "network": "nic.networks.names",
    "ip": "nic.ips",
    "mac": "nic.macs",
    "mode": "nic.modes",
    "link": "nic.links",
    "uuid": "nic.uuids",
}
DISK_FIELDS = {"name": "disk.names", "size": "disk.sizes", "uuid": "disk.uuids"}
HV_FIELDS = ("boot_order", "cdrom_image_path")
NORMAL = 0


class Unusable(Exception):
    """The answer tells nothing of the instance; the text says why."""


def details(answer: bytes) -> Json:
    """``instance_nics``, ``instance_disks``, ``instance_hvparams`` of the answer to a query for
    FIELDS of one instance. Raises Unusable, whatever ``answer`` is."""
    known = _row(answer)
    firewalls = _firewalls(known["tags"])
    nics = _table(known, NIC_FIELDS)
    for nic in nics:
        profile = firewalls.get(nic["name"])
        if profile is not None:
            nic["firewall"] = profile
    hvparams = known["hvparams"]
    if not isinstance(hvparams, dict):
        raise Unusable("no hypervisor parameters")
    return {
        "instance_nics": nics,
        "instance_disks": _table(known, DISK_FIELDS),
        "instance_hvparams": {name: hvparams.get(name) for name in HV_FIELDS},
    }


def _row(answer: bytes) -> Json:
    try:
        document = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"not JSON: {error}") from None
    match document:
        case {"success": True, "result": {"data": [list(row)]}} if len(row) == len(FIELDS):
            return dict(zip(FIELDS, map(_value, row), strict=True))
        case {"success": True, "result": {"data": []}}:
            raise Unusable("no such instance")
        case {"success": False, "result": [_, [str(text), *_]]}:
            raise Unusable(text[:200])
    raise Unusable("not an answer to the query")


def _value(cell: Any) -> Any:
    match cell:
        case [int(status), value] if status == NORMAL:
            return value
    raise Unusable("a field is not available")


def _table(known: Json, columns: dict[str, str]) -> list[Json]:
    """Columns of equal length as rows."""
    lists = [known[field] for field in columns.values()]
    if not all(isinstance(each, list) and len(each) == len(lists[0]) for each in lists):
        raise Unusable("its lists differ in length")
    return [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]


def _firewalls(tags: Any) -> dict[Any, str]:
    """Firewall profiles by NIC name, from tags ``synnefo:network:<nic>:<profile>`` (§1)."""
    found = {}
    for tag in tags if isinstance(tags, list) else []:
        match tag.split(":") if isinstance(tag, str) else []:
            case ["synnefo", "network", nic, profile]:
                found[nic] = profile
    return found
