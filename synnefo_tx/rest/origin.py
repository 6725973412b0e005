"""Origins: what a browser sends to say whose page makes a request (RFC 6454)."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
LOOPBACK_HOSTS = ("127.0.0.1", "localhost")


def origin_of(url: str) -> str:
    """The Origin that a browser sends for a page at ``url`` (RFC 6454 §6.1).

    Raises ValueError when ``url`` has no scheme and host.
    """
    parts = urlsplit(url)
    if not parts.scheme or not parts.hostname:
        raise ValueError(f"{url!r} is no URL with a scheme and a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    if parts.port is None or parts.port == _DEFAULT_PORTS.get(parts.scheme):
        return f"{parts.scheme}://{host}"
    return f"{parts.scheme}://{host}:{parts.port}"


def own_origins(site_url: str) -> frozenset[str]:
    """The Origins of the site's own pages; of a site on this machine, under each of its names."""
    own = origin_of(site_url)
    host = urlsplit(site_url).hostname or ""
    if host not in LOOPBACK_HOSTS and not _is_loopback(host):
        return frozenset({own})
    scheme, port = urlsplit(own).scheme, urlsplit(own).port
    suffix = "" if port is None else f":{port}"
    return frozenset({own, *(f"{scheme}://{each}{suffix}" for each in LOOPBACK_HOSTS)})


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
