"""Where brokers are: ``amqp://`` and ``amqps://`` URLs (RabbitMQ's URI specification)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from attrs import frozen

from synnefo_tx.ganeti.broker.protocol import Login

PORTS = {"amqp": 5672, "amqps": 5671}


@frozen
class Address:
    """One broker. Its text holds no password."""

    host: str
    port: int
    tls: bool
    login: Login

    def __str__(self) -> str:
        scheme = "amqps" if self.tls else "amqp"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether the broker is on this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse(url: str) -> Address:
    """The broker that a URL names; no virtual host, or an empty one, means ``/``.

    Raises ValueError, whose text does not hold the URL: it may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("it is no URL") from None
    if parts.scheme not in PORTS:
        raise ValueError("it does not begin with amqp:// or amqps://")
    if not parts.hostname:
        raise ValueError("it names no host")
    if parts.query or parts.fragment or "/" in parts.path[1:]:
        raise ValueError("nothing may follow the virtual host, whose own slashes are %2F")
    login = Login(
        user=unquote(parts.username) if parts.username else "guest",
        password=unquote(parts.password) if parts.password else "guest",
        vhost=unquote(parts.path[1:]) or "/",
    )
    return Address(parts.hostname, port or PORTS[parts.scheme], parts.scheme == "amqps", login)


def parse_all(urls: Iterable[str], *, plain_allowed: bool = False) -> list[Address]:
    """All brokers of a setting, in its order.

    Raises ValueError naming the position of a URL that is wrong, or that would send a password
    over a network without TLS although ``plain_allowed`` does not say so.
    """
    addresses = []
    for position, url in enumerate(urls, 1):
        try:
            address = parse(url.strip())
        except ValueError as error:
            raise ValueError(f"URL {position} of the broker: {error}") from None
        if not (address.tls or address.loopback or plain_allowed):
            raise ValueError(
                f"URL {position} of the broker sends a password without TLS to another machine: "
                "use amqps://, or allow it"
            )
        addresses.append(address)
    if not addresses:
        raise ValueError("no broker is named")
    return addresses
