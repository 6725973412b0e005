"""Pure decisions about networks: what a subnet may be, what Ganeti is asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Any

from attrs import frozen

from synnefo_tx.compute.networks.model import TYPES, Network, NetworkDraft
from synnefo_tx.compute.pools.rules import MAC_PREFIX
from synnefo_tx.faults import BadRequest, RequestEntityTooLarge
from synnefo_tx.ganeti.jobs.model import Draft
from synnefo_tx.ganeti.requests import connect_body, network_body, network_name

NAME_MAX = 128
CIDR_PREFIX_MAX = 29
# What Ganeti takes as a tag (objects.TaggableObject), which links keep to as well.
GANETI_WORD = re.compile(r"[\w.+*/:@-]{1,128}", re.ASCII)
GANETI_PREFIX_MIN = 16
"""Ganeti refuses larger networks: "please specify at most a /16 network"."""


def check_name(name: str, maximum: int = NAME_MAX) -> str:
    """A name of at most ``maximum`` characters without control characters."""
    if len(name) > maximum:
        raise BadRequest(f"name must have at most {maximum} characters")
    if any(ord(character) < 32 or ord(character) == 127 for character in name):
        raise BadRequest("name must not hold control characters")
    return name


def check_draft(draft: NetworkDraft) -> None:
    """Raise BadRequest for what the operator asks that cannot be (operations reference §2.3)."""
    check_name(draft.name)
    if draft.type not in TYPES:
        raise BadRequest(f"type must be one of {', '.join(sorted(TYPES))}")
    if draft.user is not None and draft.floating_ip_pool:
        raise BadRequest("Only a public network gives floating IPs")
    if draft.subnet is None:
        if draft.gateway is not None or draft.dhcp:
            raise BadRequest("A gateway and DHCP need a subnet")
        if draft.type == "IP_LESS_ROUTED":
            raise BadRequest("A network of type IP_LESS_ROUTED needs a subnet")
    if draft.mac_prefix is not None and not MAC_PREFIX.fullmatch(draft.mac_prefix):
        raise BadRequest("A MAC prefix has five hexadecimal digits such as aa:00:0")
    for text in ((draft.link,) if draft.link is not None else ()) + (draft.tags or ()):
        if not GANETI_WORD.fullmatch(text):
            raise BadRequest(f"{text!r} can be no link and no tag")


def check_cidr(text: str, prefix_min: int) -> IPv4Network:
    """An IPv4 range without host bits, no larger than ``prefix_min`` and no smaller than /29."""
    try:
        network = IPv4Network(text)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise BadRequest(f"cidr {text!r} is not valid: {error}") from None
    if not prefix_min <= network.prefixlen <= CIDR_PREFIX_MAX:
        raise RequestEntityTooLarge(
            f"cidr must have a prefix between /{prefix_min} and /{CIDR_PREFIX_MAX}"
        )
    return network


def check_gateway(network: IPv4Network, gateway: str | None) -> str | None:
    """A gateway within ``network`` that is a host's address."""
    if gateway is None:
        return None
    try:
        address = IPv4Address(gateway)
    except AddressValueError:
        raise BadRequest(f"gateway_ip {gateway!r} is not an IPv4 address") from None
    if address not in network or address in (network.network_address, network.broadcast_address):
        raise BadRequest(f"gateway_ip {gateway} is not a host of {network}")
    return str(address)


def first_host(network: IPv4Network) -> str:
    """The gateway when none is named."""
    return str(network.network_address + 1)


def ganeti_tags(network: Network) -> list[str]:
    """Tags of the network's copies on clusters (ganeti-backend reference §1)."""
    tags = list(network.tags)
    if any(subnet.dhcp for subnet in network.subnets):
        tags.append("nfdhcpd")
    return [*tags, "public" if network.public else "private"]


@frozen
class NetworkJobs:
    """Drafts what a cluster is asked about one network."""

    network: int
    backend: int
    prefix: str
    limit_seconds: float
    new_id: Callable[[], str]

    def add(self, network: Network, groups: Sequence[str]) -> list[Draft]:
        """What brings the network there: create it, then connect it to every node group."""
        create = self._draft("OP_NETWORK_ADD", "create_network", self._body(network))
        connects = [
            self._draft(
                "OP_NETWORK_CONNECT",
                "connect_network",
                connect_body(group, mode=network.mode, link=network.link or ""),
                (create.id,),
            )
            for group in groups
        ]
        return [create, *connects]

    def remove(self, groups: Sequence[str]) -> list[Draft]:
        """What removes it: disconnect every node group, then delete."""
        disconnects = [
            self._draft("OP_NETWORK_DISCONNECT", "disconnect_network", {"group": group})
            for group in groups
        ]
        after = tuple(each.id for each in disconnects)
        return [*disconnects, self._draft("OP_NETWORK_REMOVE", "delete_network", {}, after)]

    @property
    def _name(self) -> str:
        return network_name(self.network, self.prefix)

    def _body(self, network: Network) -> dict[str, Any]:
        v4, v6 = network.subnet_of_version(4), network.subnet_of_version(6)
        return network_body(
            self._name,
            cidr=v4.cidr if v4 else None,
            gateway=v4.gateway if v4 else None,
            cidr6=v6.cidr if v6 else None,
            gateway6=v6.gateway if v6 else None,
            mac_prefix=network.mac_prefix + "0",
            tags=ganeti_tags(network),
        )

    def _draft(
        self, opcode: str, call: str, arguments: dict[str, Any], after: tuple[str, ...] = ()
    ) -> Draft:
        return Draft(
            id=self.new_id(),
            backend=self.backend,
            subject=f"network:{self.network}",
            instance=self._name,
            opcode=opcode,
            call=call,
            arguments=arguments,
            after=after,
            limit_seconds=self.limit_seconds,
        )
