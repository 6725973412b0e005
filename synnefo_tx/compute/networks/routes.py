"""HTTP of networks, subnets and ports."""

from __future__ import annotations

from typing import Any

from synnefo_tx.compute import xml
from synnefo_tx.compute.changes import changes_since, listed
from synnefo_tx.compute.links import parse_id
from synnefo_tx.compute.networks import wire
from synnefo_tx.compute.networks.model import Network
from synnefo_tx.compute.networks.operations import Networks
from synnefo_tx.compute.networks.wire import CreateNetwork, CreateSubnet, RenameNetwork
from synnefo_tx.compute.ports.operations import Ports
from synnefo_tx.faults import BadRequest, ItemNotFound
from synnefo_tx.rest.endpoint import Call, Reply, endpoint
from synnefo_tx.settings import Compute


class NetworkRoutes:
    """``/network/v2.0``."""

    def __init__(self, networks: Networks, ports: Ports, settings: Compute, base_url: str) -> None:
        self._networks = networks
        self._ports = ports
        self._settings = settings
        self._base_url = base_url

    def _one(self, network: Network) -> dict[str, Any]:
        return {"network": wire.network(network, self._base_url)}

    @endpoint("GET", "/networks", action="network:network:list", xml=xml.networks)
    @endpoint("GET", "/networks/detail", action="network:network:list", xml=xml.networks)
    async def list(self, call: Call[None]) -> Reply:
        """List the networks that the caller sees."""
        since, horizon = changes_since(call, self._settings), await self._networks.horizon()
        found = await self._networks.listing(call.caller, since)
        documents = [wire.network(each, self._base_url) for each in found]
        return listed("networks", documents, since, horizon)

    @endpoint(
        "POST",
        "/networks",
        action="network:network:create",
        body=CreateNetwork,
        status=201,
        xml=xml.network,
        idempotent=True,
        rate="create",
    )
    async def create(self, call: Call[CreateNetwork]) -> dict[str, Any]:
        """Make a private network."""
        wanted = call.body.network
        made = await self._networks.create_private(
            call.caller, wanted.name, wanted.type, wanted.project, call.once(self._one)
        )
        return self._one(made)

    @endpoint("GET", "/networks/<network_id>", action="network:network:show", xml=xml.network)
    async def show(self, call: Call[None], network_id: str) -> dict[str, Any]:
        """Show one network, also a deleted one."""
        found = await self._networks.show(call.caller, parse_id(network_id, "network"))
        return self._one(found)

    @endpoint(
        "PUT",
        "/networks/<network_id>",
        action="network:network:rename",
        body=RenameNetwork,
        xml=xml.network,
    )
    async def rename(self, call: Call[RenameNetwork], network_id: str) -> dict[str, Any]:
        """Give a network another name."""
        id = parse_id(network_id, "network")
        changed = await self._networks.rename(call.caller, id, call.body.network.name)
        return self._one(changed)

    @endpoint("DELETE", "/networks/<network_id>", action="network:network:delete", status=204)
    async def delete(self, call: Call[None], network_id: str) -> None:
        """Remove a network that no server is on."""
        await self._networks.delete(call.caller, parse_id(network_id, "network"))

    @endpoint("GET", "/subnets", action="network:subnet:list")
    @endpoint("GET", "/subnets/detail", action="network:subnet:list")
    async def subnets(self, call: Call[None]) -> Reply:
        """List the subnets of the networks that the caller sees."""
        since, horizon = changes_since(call, self._settings), await self._networks.horizon()
        documents = [
            wire.subnet(each, network, self._base_url)
            for network in await self._networks.listing(call.caller, since)
            for each in network.subnets
        ]
        return listed("subnets", documents, since, horizon)

    @endpoint("POST", "/subnets", action="network:subnet:create", body=CreateSubnet, status=201)
    async def create_subnet(self, call: Call[CreateSubnet]) -> dict[str, Any]:
        """Give a network its IPv4 range."""
        wanted = call.body.subnet
        if wanted.ip_version != 4:
            raise BadRequest("subnet.ip_version must be 4: IPv6 subnets are not served yet")
        gateway = wanted.gateway_ip
        if gateway is not None and not isinstance(gateway, str):
            raise BadRequest("subnet.gateway_ip must be a string or null")
        network = await self._networks.add_subnet(
            call.caller,
            parse_id(str(wanted.network_id), "network"),
            wanted.cidr,
            gateway=gateway or None,
            no_gateway=gateway is None,
            dhcp=wanted.enable_dhcp,
            name=wanted.name,
        )
        return {"subnet": wire.subnet(network.subnets[-1], network, self._base_url)}

    @endpoint("GET", "/subnets/<subnet_id>", action="network:subnet:show")
    async def show_subnet(self, call: Call[None], subnet_id: str) -> dict[str, Any]:
        """Show one subnet."""
        id = parse_id(subnet_id, "subnet")
        for network in await self._networks.listing(call.caller):
            for each in network.subnets:
                if each.id == id:
                    return {"subnet": wire.subnet(each, network, self._base_url)}
        raise ItemNotFound("Subnet not found.")

    @endpoint("GET", "/ports", action="network:port:list", xml=xml.ports)
    @endpoint("GET", "/ports/detail", action="network:port:list", xml=xml.ports)
    async def ports(self, call: Call[None]) -> dict[str, Any]:
        """List the ports of the caller's servers."""
        found = await self._ports.listing(call.caller)
        return {"ports": [wire.port(each, self._base_url) for each in found]}

    @endpoint("GET", "/ports/<port_id>", action="network:port:show", xml=xml.port)
    async def show_port(self, call: Call[None], port_id: str) -> dict[str, Any]:
        """Show one port."""
        id = parse_id(port_id, "port")
        for each in await self._ports.listing(call.caller):
            if each.id == id:
                return {"port": wire.port(each, self._base_url)}
        raise ItemNotFound("Port not found.")
