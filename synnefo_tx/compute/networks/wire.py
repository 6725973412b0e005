"""Networks, subnets and ports as JSON, and requests for them (compute-api reference §3)."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Any

from attrs import frozen

from synnefo_tx.compute.links import isoformat, links
from synnefo_tx.compute.networks.model import Network, Subnet
from synnefo_tx.compute.pools.rules import usable_ranges
from synnefo_tx.compute.ports.model import Port


@frozen
class NetworkRequest:
    """The object ``network`` of a create."""

    type: str
    name: str = ""
    project: str | None = None


@frozen
class CreateNetwork:
    """Body of ``POST /networks``."""

    network: NetworkRequest


@frozen
class NameRequest:
    """A new name."""

    name: str


@frozen
class RenameNetwork:
    """Body of ``PUT /networks/{id}``."""

    network: NameRequest


@frozen
class SubnetRequest:
    """The object ``subnet`` of a create."""

    network_id: Any
    cidr: str
    name: str = ""
    ip_version: int = 4
    gateway_ip: Any = ""
    enable_dhcp: bool = True


@frozen
class CreateSubnet:
    """Body of ``POST /subnets``."""

    subnet: SubnetRequest


def network(value: Network, base_url: str) -> dict[str, Any]:
    """A network's document."""
    owner = value.userid or None
    return {
        "id": str(value.id),
        "name": value.name,
        "links": links(f"{base_url}/networks/{value.id}"),
        "user_id": owner,
        "tenant_id": value.project,
        "shared_to_project": False,
        "type": value.type,
        "updated": isoformat(value.updated),
        "created": isoformat(value.created),
        "status": value.status,
        "public": value.public,
        "shared": value.public,
        "router:external": value.public,
        "admin_state_up": True,
        "subnets": [str(each.id) for each in value.subnets],
        "SNF:floating_ip_pool": value.floating_ip_pool,
        "deleted": value.deleted,
    }


def subnet(value: Subnet, of: Network, base_url: str) -> dict[str, Any]:
    """A subnet's document."""
    return {
        "id": str(value.id),
        "network_id": str(value.network),
        "name": value.name,
        "tenant_id": of.userid,
        "user_id": of.userid,
        "public": of.public,
        "gateway_ip": value.gateway,
        "ip_version": value.ip_version,
        "cidr": value.cidr,
        "enable_dhcp": value.dhcp,
        "enable_slaac": False,
        "dns_nameservers": [],
        "host_routes": [],
        "allocation_pools": _pools(value),
        "deleted": value.deleted,
        "links": links(f"{base_url}/subnets/{value.id}"),
    }


def _pools(value: Subnet) -> list[dict[str, str]]:
    if value.ip_version != 4:
        return []
    return [
        {"start": base, "end": str(IPv4Address(base) + size - 1)}
        for base, size in usable_ranges(IPv4Network(value.cidr), value.gateway)
    ]


def port(value: Port, base_url: str) -> dict[str, Any]:
    """A port's document."""
    fixed = []
    if value.address is not None:
        fixed.append({"ip_address": value.address, "subnet": str(value.subnet)})
    return {
        "id": str(value.id),
        "name": value.name,
        "links": links(f"{base_url}/ports/{value.id}"),
        "user_id": value.userid,
        "tenant_id": value.userid,
        "device_id": str(value.server),
        "admin_state_up": True,
        "mac_address": value.mac,
        "status": value.state,
        "device_owner": "vm",
        "network_id": str(value.network),
        "updated": isoformat(value.updated),
        "created": isoformat(value.created),
        "fixed_ips": fixed,
        "security_groups": [],
    }
