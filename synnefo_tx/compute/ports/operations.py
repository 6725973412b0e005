"""Ports of new servers: which networks, which addresses."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address

from attrs import frozen

from synnefo_tx.caller import Caller
from synnefo_tx.compute.networks.model import Network
from synnefo_tx.compute.networks.operations import Networks
from synnefo_tx.compute.networks.store import NetworkStore
from synnefo_tx.compute.pools.rules import address_at, index_of_address, port_mac
from synnefo_tx.compute.pools.store import PoolStore
from synnefo_tx.compute.ports.model import Port, WantedPort
from synnefo_tx.compute.ports.store import PortStore, list_ports
from synnefo_tx.db.pool import Database, Transaction
from synnefo_tx.faults import (
    BadRequest,
    Conflict,
    Fault,
    Forbidden,
    ItemNotFound,
    ServiceUnavailable,
)

ANY_PUBLIC_IPV4 = "SNF:ANY_PUBLIC_IPV4"


@frozen
class Placed:
    """A network that a new server is on, and the subnet that gives its address."""

    network: Network
    fixed_ip: str | None
    forced: bool


class Ports:
    """Binds ports of new servers to networks and addresses."""

    def __init__(self, database: Database, networks: Networks, ports_max: int) -> None:
        self._database = database
        self._networks = networks
        self._ports_max = ports_max

    async def listing(self, caller: Caller) -> list[Port]:
        """Ports of the caller's servers."""
        return await list_ports(self._database, caller.user, caller.sees_all)

    async def get(self, caller: Caller, id: int) -> Port:
        """A port of the caller's; raises ItemNotFound."""
        for port in await list_ports(self._database, caller.user, caller.sees_all, id):
            return port
        raise ItemNotFound("Port not found.")

    async def resolve(
        self, tx: Transaction, caller: Caller, forced: Sequence[str], wanted: Sequence[WantedPort]
    ) -> list[Placed]:
        """The networks of a new server, forced ones first, each held against removal."""
        placed = []
        for name in forced:
            network = await self._forced(tx, name)
            placed.append(Placed(network, None, True))
        for each in wanted:
            placed.append(await self._requested(tx, caller, each))
        if len(placed) > self._ports_max:
            raise BadRequest(f"A server has at most {self._ports_max} ports")
        return placed

    async def _forced(self, tx: Transaction, name: str) -> Network:
        if name == ANY_PUBLIC_IPV4:
            candidates = await NetworkStore(tx).public_ipv4()
            if not candidates:
                raise ServiceUnavailable("No public network gives an address to the server.")
            return await self._shared(tx, candidates[0].id)
        return await self._shared(tx, int(name))

    async def _requested(self, tx: Transaction, caller: Caller, wanted: WantedPort) -> Placed:
        network = await NetworkStore(tx).find_visible(wanted.network, caller.user)
        if network is None:
            raise ItemNotFound(f"Network {wanted.network} not found.")
        if network.public:
            raise Forbidden("A server is put on a public network by a floating IP")
        return Placed(await self._shared(tx, network.id), wanted.fixed_ip, False)

    async def _shared(self, tx: Transaction, id: int) -> Network:
        network = await NetworkStore(tx).share(id)
        if network is None or network.deleted or network.destroying:
            raise BadRequest(f"Network {id} has been deleted.")
        return network

    async def bind(
        self, tx: Transaction, caller: Caller, server: int, placed: Sequence[Placed]
    ) -> list[Port]:
        """Make the ports of a new server, each with its exact address.

        Raises ServiceUnavailable when a public pool is exhausted, Conflict when a private one is
        or a wanted address is taken.
        """
        store = PortStore(tx)
        first = True
        for index, each in enumerate(placed):
            id = await store.next_id()
            address, subnet = await self._address(tx, caller, each, f"port:{id}", first)
            first = first and address is None
            mac = port_mac(each.network.mac_prefix, id)
            await store.insert(
                id, caller.user, each.network.id, server, index, mac, address, subnet
            )
        return await store.of_server(server)

    async def _address(
        self, tx: Transaction, caller: Caller, placed: Placed, holder: str, wait: bool
    ) -> tuple[str | None, int | None]:
        subnets = await self._subnets(tx, placed)
        if not subnets:
            if placed.fixed_ip:
                raise BadRequest("The network has no subnet that holds fixed_ip")
            return None, None
        pools = self._networks.pools(tx)
        if placed.fixed_ip:
            return await self._wanted(pools, subnets, placed.fixed_ip, holder, caller.user)
        known = {pool.id: pool for pool in await pools.of_subnets(subnets)}
        item = await pools.take(sorted(known), holder, caller.user, wait)
        if item is None:
            raise self._exhausted(placed)
        pool = known[item.pool]
        return address_at(pool.base, item.index), pool.subnet

    async def _subnets(self, tx: Transaction, placed: Placed) -> list[int]:
        """Subnets whose pools may give the address: for ANY_PUBLIC, the network's own."""
        subnet = placed.network.subnet_of_version(4)
        return [] if subnet is None or subnet.deleted else [subnet.id]

    def _exhausted(self, placed: Placed) -> Fault:
        if placed.network.public:
            return ServiceUnavailable("No public address is free. Try again later.")
        return Conflict(f"Network {placed.network.id} has no free address.")

    async def _wanted(
        self, pools: PoolStore, subnets: Sequence[int], fixed_ip: str, holder: str, owner: str
    ) -> tuple[str, int | None]:
        try:
            address = str(IPv4Address(fixed_ip))
        except AddressValueError:
            raise BadRequest(f"fixed_ip {fixed_ip!r} is not an IPv4 address") from None
        for pool in await pools.of_subnets(subnets):
            index = index_of_address(pool.base, address)
            if 0 <= index < pool.size:
                if not await pools.take_index(pool.id, index, holder, owner):
                    raise Conflict(f"Address {address} is in use.")
                return address, pool.subnet
        raise BadRequest(f"Address {address} is outside the network's pools.")

    async def release(self, tx: Transaction, server: int) -> None:
        """Remove a server's ports; public addresses rest, private ones are free at once."""
        gone = await PortStore(tx).delete_of_server(server)
        pools = self._networks.pools(tx)
        for public in (True, False):
            holders = [f"port:{id}" for id, is_public in gone if is_public is public]
            if holders:
                await pools.release(holders, rest=public)
