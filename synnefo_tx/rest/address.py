"""What an address counts as, wherever something is counted by address."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

IPV6_PREFIX = 64
"""What one customer has."""
REMEMBERED = 4096


@lru_cache(REMEMBERED)
def counted_as(address: str) -> str:
    """An IPv4 address, also one written as IPv6, or the network of 64 bits of an IPv6 one; text
    that is no address counts as it is."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, IPV6_PREFIX), strict=False))
