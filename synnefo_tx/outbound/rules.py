"""Which URLs and addresses may be asked: pure decisions (security list SEC13, ASVS 1.3.6).

A URL is read strictly, by this module alone: what parsers read in different ways (user info,
backslashes, zones, numbers that some take for addresses) is refused, so that what is checked is
what is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_network,
)

import idna
from attrs import frozen

from synnefo_tx.outbound.model import Address, Target, UrlRefused

Network = IPv4Network | IPv6Network

URL_MAX = 2048
HOST_MAX = 253
PORTS = {"http": 80, "https": 443}
URL = re.compile(r"(https?)://([^/?#\\]*)([/?][^#]*)?", re.I)
AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:@%]+)(?::([1-9][0-9]{0,4}))?")
LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
PATH = re.compile(r"[!-~]*")

# The IANA registries of special-purpose addresses. Multicast and reserved ones are with them.
SPECIAL_IPV4 = tuple(
    IPv4Network(each)
    for each in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
        "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    )
)  # fmt: skip
# Nothing beyond it is global unicast: not ::1, ::ffff:0:0/96, 64:ff9b::/96, fc00::/7, fe80::/10.
GLOBAL_IPV6 = IPv6Network("2000::/3")
# Protocol assignments with Teredo, documentation, 6to4, documentation.
SPECIAL_IPV6 = tuple(
    IPv6Network(each) for each in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
)


@frozen
class Allowance:
    """What the operator allows beside public addresses, and what not even these.

    ``hosts`` bounds names if there are any: ``example.org``, or ``.example.org`` for all below.
    """

    ports: frozenset[int]
    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    denied_networks: tuple[Network, ...] = ()


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks from settings. Raises ValueError."""
    return tuple(ip_network(text) for text in texts)


def target(url: str, allowance: Allowance) -> Target:
    """The target of a URL; raises UrlRefused."""
    if len(url) > URL_MAX:
        raise UrlRefused(f"A URL has at most {URL_MAX} characters")
    parts = URL.fullmatch(url)
    if parts is None:
        raise UrlRefused("The URL must begin with http:// or https:// and have no fragment")
    scheme, authority, path = parts[1].lower(), parts[2], parts[3] or "/"
    named = AUTHORITY.fullmatch(authority)
    if named is None:
        raise UrlRefused("The URL must name a host, and a port if need be, and nothing else")
    port = int(named[2]) if named[2] else PORTS[scheme]
    if port not in allowance.ports:
        raise UrlRefused(f"Port {port} is not allowed")
    path = path if path.startswith("/") else f"/{path}"
    if not PATH.fullmatch(path):
        raise UrlRefused("The URL's path must be written in ASCII without spaces")
    host, address = _host(named[1])
    if allowance.hosts and not _is_among(host, allowance.hosts):
        raise UrlRefused("This host is not allowed")
    return Target(scheme, host, port, path, address)


def _host(text: str) -> tuple[str, Address | None]:
    if text.startswith("["):
        try:
            address = IPv6Address(text[1:-1])
        except AddressValueError:
            raise UrlRefused("The URL's address is none") from None
        return str(address), address
    name = _ascii(text)
    last = name.rpartition(".")[2]
    if NUMBER.fullmatch(last):
        # Resolvers take 127.1, 0x7f000001 and 2130706433 for addresses: one spelling counts.
        try:
            return name, IPv4Address(name)
        except AddressValueError:
            raise UrlRefused("An IPv4 address has four numbers with dots between") from None
    if len(name) > HOST_MAX or not all(LABEL.fullmatch(each) for each in name.split(".")):
        raise UrlRefused("The URL's host is no name")
    return name, None


def _ascii(text: str) -> str:
    """A name in lower-case ASCII, without the dot that may end it; raises UrlRefused."""
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True, std3_rules=True).decode()
        except (idna.IDNAError, UnicodeError):
            raise UrlRefused("The URL's host is no name") from None
    return text.lower().removesuffix(".")


def _is_among(host: str, allowed: Collection[str]) -> bool:
    return host in allowed or any(each.startswith(".") and host.endswith(each) for each in allowed)


def is_public(address: Address) -> bool:
    """Whether an address is of the world: of no special range, and with no other one inside."""
    if isinstance(address, IPv4Address):
        return not any(address in each for each in SPECIAL_IPV4)
    return address in GLOBAL_IPV6 and not any(address in each for each in SPECIAL_IPV6)


def may_ask(address: Address, allowance: Allowance) -> bool:
    """Whether an address may be connected to."""
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    if _within(address, allowance.denied_networks):
        return False
    return is_public(address) or _within(address, allowance.networks)


def _within(address: Address, wanted: Iterable[Network]) -> bool:
    return any(each.version == address.version and address in each for each in wanted)
