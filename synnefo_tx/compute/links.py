"""The links and numbers that all of compute's documents share."""

from __future__ import annotations

from datetime import UTC, datetime

from synnefo_tx.faults import BadRequest

ID_MAX = 2**63 - 1


def links(href: str) -> list[dict[str, str]]:
    """The pair of links that every thing carries, both to the same address."""
    return [{"rel": "self", "href": href}, {"rel": "bookmark", "href": href}]


def isoformat(moment: datetime) -> str:
    """ISO 8601 with ``+00:00``, as all of compute's timestamps."""
    return moment.astimezone(UTC).isoformat()


def parse_id(text: str, what: str) -> int:
    """The number in a path; raises BadRequest for anything else."""
    if not (text.isascii() and text.isdigit()) or int(text[:20]) > ID_MAX:
        raise BadRequest(f"Invalid {what} ID: it must be a number")
    return int(text)
