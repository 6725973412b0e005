"""Flavors as JSON (compute-api reference §2.4)."""

from __future__ import annotations

from typing import Any

from synnefo_tx.compute.flavors.model import Flavor
from synnefo_tx.compute.links import links


def brief(flavor: Flavor, base_url: str) -> dict[str, Any]:
    """What ``GET /flavors`` lists."""
    return {
        "id": flavor.id,
        "name": flavor.name,
        "links": links(f"{base_url}/flavors/{flavor.id}"),
    }


def detail(flavor: Flavor, base_url: str) -> dict[str, Any]:
    """What ``GET /flavors/detail`` lists: RAM in MiB, disk in GiB."""
    return brief(flavor, base_url) | {
        "ram": flavor.ram_mib,
        "disk": flavor.disk_gib,
        "vcpus": flavor.cpu,
        "os-flavor-access:is_public": flavor.public,
        "SNF:disk_template": flavor.volume_type.disk_template,
        "SNF:volume_type": flavor.volume_type.id,
        "SNF:allow_create": flavor.allow_create,
        "SNF:flavor-access": [],
    }
