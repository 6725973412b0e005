"""Networks and subnets."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen


@frozen
class Subnet:
    """One address range of a network."""

    id: int
    network: int
    name: str
    ip_version: int
    cidr: str
    gateway: str | None
    dhcp: bool
    deleted: bool


@frozen
class Network:
    """A network; ``mac_prefix`` has five hexadecimal digits (``aa:00:1``)."""

    id: int
    name: str
    userid: str | None
    project: str | None
    type: str
    mode: str
    link: str | None
    mac_prefix: str
    tags: list[str]
    public: bool
    drained: bool
    floating_ip_pool: bool
    destroying: bool
    deleted: bool
    created: datetime
    updated: datetime
    subnets: tuple[Subnet, ...] = ()

    @property
    def status(self) -> str:
        """The state that users and operators see."""
        return "DELETED" if self.deleted else "SNF:DRAINED" if self.drained else "ACTIVE"

    def subnet_of_version(self, ip_version: int) -> Subnet | None:
        """The subnet of an IP version, if the network has one."""
        return next((each for each in self.subnets if each.ip_version == ip_version), None)


@frozen
class NetworkDraft:
    """A network to be. Without ``user`` it is public; without ``link``, ``mac_prefix`` or
    ``tags`` it gets those of its type; ``subnet`` is an IPv4 range."""

    name: str
    type: str
    user: str | None = None
    project: str | None = None
    link: str | None = None
    mac_prefix: str | None = None
    tags: tuple[str, ...] | None = None
    floating_ip_pool: bool = False
    drained: bool = False
    subnet: str | None = None
    gateway: str | None = None
    dhcp: bool = False


@frozen
class NetworkUse:
    """A network, how many servers are on it, and the clusters that have it."""

    network: Network
    servers: int
    backends: tuple[int, ...]

    @property
    def userid(self) -> str | None:
        """The network's owner."""
        return self.network.userid

    @property
    def project(self) -> str | None:
        """The project that is charged for it."""
        return self.network.project

    @property
    def deleted(self) -> bool:
        """Whether the network is deleted."""
        return self.network.deleted


@frozen
class NetworkType:
    """What the types of network differ in (compute-api reference §3)."""

    mode: str
    tags: tuple[str, ...]
    own_mac_prefix: bool = False
    own_bridge: bool = False


TYPES = {
    "MAC_FILTERED": NetworkType("bridged", ("private-filtered",), own_mac_prefix=True),
    "PHYSICAL_VLAN": NetworkType("bridged", ("physical-vlan",), own_bridge=True),
    "IP_LESS_ROUTED": NetworkType("routed", ("ip-less-routed",)),
    "CUSTOM": NetworkType("bridged", ()),
}


@frozen
class BackendNetwork:
    """A network's copy on a cluster: PENDING until its jobs end, then ACTIVE."""

    network: int
    backend: int
    state: str
    intents: list[str]
