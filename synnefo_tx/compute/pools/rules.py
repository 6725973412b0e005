"""What the items of a pool stand for, and back. Pure.

An index counts from 0: an address is ``base + index``, a MAC prefix (five hexadecimal digits) is
``base + index``, a bridge is ``base`` followed by ``index + 1`` (compute-api reference §7).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network

from synnefo_tx.faults import BadRequest

SIZE_MAX = 1_000_000
BRIDGE_MAX = 15
BRIDGE_BASE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")
MAC_PREFIX = re.compile(r"[0-9a-fA-F]{2}:[0-9a-fA-F]{2}:[0-9a-fA-F]")


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


def index_of_bridge(base: str, bridge: str) -> int | None:
    """Where a bridge stands; None if its name is not one of the pool's."""
    digits = bridge.removeprefix(base)
    if not bridge.startswith(base) or not (digits.isascii() and digits.isdigit()):
        return None
    index = int(digits) - 1
    return index if index >= 0 and bridge_at(base, index) == bridge else None


def check_pool(kind: str, base: str, size: int) -> None:
    """Raise BadRequest unless a pool may have these values (operations reference §2.3).

    All MAC prefixes of a pool have the first byte of its base, which is local and of one host
    (IEEE 802: second-least bit set, least bit not).
    """
    if not 0 < size <= SIZE_MAX:
        raise BadRequest(f"size must be between 1 and {SIZE_MAX}")
    if kind == "bridge":
        # An interface of Linux has at most 15 bytes in its name.
        if not BRIDGE_BASE.fullmatch(base) or len(bridge_at(base, size - 1)) > BRIDGE_MAX:
            raise BadRequest(f"bridges {base}1 … {base}{size} are no names of interfaces")
        return
    if not MAC_PREFIX.fullmatch(base):
        raise BadRequest("base must be a MAC prefix of five hexadecimal digits such as aa:00:0")
    if int(base[1], 16) & 3 != 2:
        raise BadRequest(f"MAC prefixes from {base} are not local ones of single hosts")
    if mac_prefix_at(base, size - 1)[:2] != base[:2].lower():
        raise BadRequest(f"there are no {size} MAC prefixes from {base} with one first byte")


def usable_ranges(network: IPv4Network, gateway: str | None) -> list[tuple[str, int]]:
    """(base, size) of the runs of addresses that hosts may have: without network, broadcast
    address and gateway."""
    first, last = int(network.network_address) + 1, int(network.broadcast_address) - 1
    cuts = [(first, last)]
    if gateway is not None:
        middle = int(IPv4Address(gateway))
        cuts = [(first, middle - 1), (middle + 1, last)] if first <= middle <= last else cuts
    return [(str(IPv4Address(low)), high - low + 1) for low, high in cuts if low <= high]


def map_lines(size: int, marked: Collection[int], per_line: int) -> list[str]:
    """A pool drawn in lines, a character per item: X where it is marked, else a point."""
    items = ["X" if index in marked else "." for index in range(size)]
    return ["".join(items[at : at + per_line]) for at in range(0, size, per_line)]


def port_mac(prefix: str, port_id: int) -> str:
    """The MAC of a port: its network's prefix and 28 bits of its own number.

    The number never repeats, so neither does the MAC within a network, on whatever clusters it is.
    """
    digits = prefix.replace(":", "") + f"{port_id & 0xFFFFFFF:07x}"
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))
