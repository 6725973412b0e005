"""What is asked of the outside, what it answers, and why nothing came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Protocol

from attrs import field, frozen

from synnefo_tx.faults import BadRequest

Address = IPv4Address | IPv6Address

UNREACHABLE = "The URL cannot be reached"


class UrlRefused(BadRequest):
    """The text is no URL that may be asked; it says what is wrong with its form."""


class Unreachable(BadRequest):
    """Nothing came of a request.

    One text for a name that is unknown, an address that is not public, a closed port, another
    certificate, silence and an endless answer: it tells nothing of networks that the user is not
    in. The log has the reason.
    """

    def __init__(self) -> None:
        super().__init__(UNREACHABLE)


@frozen
class Target:
    """A URL whose form is right: ``host`` is a lower-case ASCII name without final dot, or an
    address in its one spelling; ``path`` has the query with it."""

    scheme: str
    host: str
    port: int
    path: str
    address: Address | None = None

    @property
    def url(self) -> str:
        """The URL in its one spelling."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        usual = self.port == {"http": 80, "https": 443}[self.scheme]
        return f"{self.scheme}://{host}{'' if usual else f':{self.port}'}{self.path}"


@frozen
class Fetched:
    """An answer, as it came: no redirect was followed, nothing was unpacked. Names of headers are
    in lower case, each with its first value."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Resolve(Protocol):
    """Finds the addresses of a name."""

    async def __call__(self, host: str) -> Sequence[Address]:
        """All addresses, none for a name that is unknown."""
        ...
