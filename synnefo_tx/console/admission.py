"""Whether an HTTP request may become a console: decided on its head, before the upgrade.

The path is compared, never normalised, decoded or redirected; the Host header has no part in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from synnefo_tx.rest.origin import origin_of

TICKET_CHARACTERS = 43  # 256 random bits in base64url without padding
SUBPROTOCOL = "binary"

_PATH = re.compile(rf"/console/([A-Za-z0-9_-]{{{TICKET_CHARACTERS}}})")
_PLAIN_LINE = re.compile(rb"[\t\x20-\x7e]*")


def admitted_ticket(head: bytes, origins: frozenset[str]) -> str | None:
    """The ticket of a request that may be upgraded, or None for one that gets 403.

    ``head`` is the request line and the header fields, without the final empty line. Refused are
    control characters and bytes beyond ASCII, bodies, paths other than ``/console/<ticket>``, an
    Origin that is missing, repeated or not among ``origins``, and a missing subprotocol.
    """
    lines = head.split(b"\r\n")
    if not all(_PLAIN_LINE.fullmatch(line) for line in lines):
        return None
    request_line, *fields = (line.decode("ascii") for line in lines)
    headers = _headers(fields)
    words = request_line.split(" ")
    if headers is None or len(words) != 3:
        return None
    path = _PATH.fullmatch(words[1])
    if path is None or "content-length" in headers or "transfer-encoding" in headers:
        return None
    if len(headers.get("origin", ())) != 1 or headers["origin"][0] not in origins:
        return None
    offered = ",".join(headers.get("sec-websocket-protocol", ()))
    if SUBPROTOCOL not in [each.strip() for each in offered.split(",")]:
        return None
    return path.group(1)


def _headers(fields: list[str]) -> dict[str, list[str]] | None:
    headers: dict[str, list[str]] = {}
    for field in fields:
        name, colon, value = field.partition(":")
        if not colon or not name or name.strip() != name:
            return None
        headers.setdefault(name.lower(), []).append(value.strip())
    return headers


def allowed_origins(
    site_url: str, http_port: int, console_port: int, further: Iterable[str] = ()
) -> frozenset[str]:
    """The site's own Origin, this machine's names on both ports, and those the operator adds."""
    local = (
        f"{scheme}://{host}:{port}"
        for scheme in ("http", "https")
        for host in ("127.0.0.1", "localhost")
        for port in (http_port, console_port)
    )
    return frozenset(origin_of(url) for url in (site_url, *local, *further))
