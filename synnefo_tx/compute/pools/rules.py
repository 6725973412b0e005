"""What the items of a pool stand for, and back. Pure.

An index counts from 0: an address is ``base + index``, a MAC prefix (five hexadecimal digits) is
``base + index``, a bridge is ``base`` followed by ``index + 1`` (compute-api reference §7).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network


def address_at(base: str, index: int) -> str:
    """The IPv4 address at ``index``."""
    return str(IPv4Address(base) + index)


def index_of_address(base: str, address: str) -> int:
    """Where ``address`` stands; below 0 if before the base. Raises ValueError if it is none."""
    return int(IPv4Address(address)) - int(IPv4Address(base))


def mac_prefix_at(base: str, index: int) -> str:
    """The MAC prefix at ``index``: five digits such as ``aa:00:1``."""
    number = int(base.replace(":", ""), 16) + index
    digits = f"{number:05x}"
    return f"{digits[:2]}:{digits[2:4]}:{digits[4:]}"


def index_of_mac_prefix(base: str, prefix: str) -> int:
    """Where a MAC prefix stands."""
    return int(prefix.replace(":", ""), 16) - int(base.replace(":", ""), 16)


def bridge_at(base: str, index: int) -> str:
    """The bridge at ``index``."""
    return f"{base}{index + 1}"


def usable_ranges(network: IPv4Network, gateway: str | None) -> list[tuple[str, int]]:
    """(base, size) of the runs of addresses that hosts may have: without network, broadcast
    address and gateway."""
    first, last = int(network.network_address) + 1, int(network.broadcast_address) - 1
    cuts = [(first, last)]
    if gateway is not None:
        middle = int(IPv4Address(gateway))
        cuts = [(first, middle - 1), (middle + 1, last)] if first <= middle <= last else cuts
    return [(str(IPv4Address(low)), high - low + 1) for low, high in cuts if low <= high]


def port_mac(prefix: str, port_id: int) -> str:
    """The MAC of a port: its network's prefix and 28 bits of its own number.

    The number never repeats, so neither does the MAC within a network, on whatever clusters it is.
    """
    digits = prefix.replace(":", "") + f"{port_id & 0xFFFFFFF:07x}"
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))
