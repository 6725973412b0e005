"""Where PostgreSQL is, and that a connection to another machine is verified."""

from __future__ import annotations

from ipaddress import ip_address

from psycopg2 import ProgrammingError
from psycopg2.extensions import make_dsn, parse_dsn

VERIFIED = "verify-full"


def verified(url: str) -> str:
    """The URI with TLS that verifies certificate and host name, unless it stays on this machine.

    libpq's own default takes any certificate, or none. Raises ValueError when the URI cannot be
    read, or asks for less.
    """
    try:
        parts = parse_dsn(url)
    except ProgrammingError as error:
        raise ValueError(f"it is no PostgreSQL URI: {error}") from None
    named = [*parts.get("host", "").split(","), *parts.get("hostaddr", "").split(",")]
    remote = [host for host in named if host and not _is_here(host)]
    if not remote:
        return url
    mode = parts.get("sslmode", VERIFIED)
    if mode != VERIFIED:
        raise ValueError(f"sslmode is {mode}: {remote[0]} is reached with {VERIFIED} only")
    # Without a file of ours the authorities of the system count.
    roots = parts.get("sslrootcert", "system")
    return str(make_dsn(url, sslmode=VERIFIED, sslrootcert=roots))


def _is_here(host: str) -> bool:
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
