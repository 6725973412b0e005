"""Versions and extensions of compute's APIs (compute-api reference §2.4, §3)."""

from __future__ import annotations

from typing import Any

from synnefo_tx.compute import xml
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.rest.endpoint import Call, endpoint

UPDATED = "2011-01-21T11:33:21-06:00"
MEDIA_TYPES = [
    {
        "base": "application/json",
        "type": "application/vnd.openstack.compute.v2+json",
    }
]
RESOURCES = ("network", "subnet", "port")


def _version(href: str) -> dict[str, Any]:
    return {
        "id": "v2.0",
        "status": "CURRENT",
        "links": [{"rel": "self", "href": href}],
        "updated": UPDATED,
    }


class ComputeVersions:
    """``/compute``."""

    def __init__(self, site_url: str) -> None:
        self._href = f"{site_url}/compute/v2.0/"

    @endpoint("GET", "/", action="compute:versions", ways=("none",), xml=xml.versions)
    async def list(self, call: Call[None]) -> dict[str, Any]:
        """List the versions of the compute API."""
        return {"versions": [_version(self._href)]}

    @endpoint("GET", "/v2.0/", action="compute:versions", ways=("none",), xml=xml.version)
    async def show(self, call: Call[None]) -> dict[str, Any]:
        """Show version 2.0 of the compute API."""
        return {"version": _version(self._href) | {"media_types": MEDIA_TYPES}}

    @endpoint("GET", "/v2.0/extensions", action="compute:extension:list")
    async def extensions(self, call: Call[None]) -> dict[str, Any]:
        """List the extensions: there are none."""
        return {"extensions": []}

    @endpoint("GET", "/v2.0/extensions/<alias>", action="compute:extension:list")
    async def extension(self, call: Call[None], alias: str) -> dict[str, Any]:
        """Show an extension: there are none."""
        raise ItemNotFound("Extension not found.")


class NetworkVersions:
    """``/network``."""

    def __init__(self, site_url: str) -> None:
        self._href = f"{site_url}/network/v2.0/"

    @endpoint("GET", "/", action="network:versions", ways=("none",), xml=xml.versions)
    async def list(self, call: Call[None]) -> dict[str, Any]:
        """List the versions of the network API."""
        return {"versions": [_version(self._href)]}

    @endpoint("GET", "/v2.0/", action="network:versions", ways=("none",))
    async def show(self, call: Call[None]) -> dict[str, Any]:
        """List what version 2.0 of the network API serves."""
        return {
            "resources": [
                {
                    "name": name,
                    "collection": f"{name}s",
                    "links": [{"rel": "self", "href": f"{self._href}{name}s"}],
                }
                for name in RESOURCES
            ]
        }
