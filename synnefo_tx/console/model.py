"""Values of the console: what a ticket leads to, why one is refused, and the limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

REASON_MAX_BYTES = 123  # RFC 6455 §5.5: a control frame has 125 bytes, two of them the code


@frozen
class Refusal:
    """Why a console is closed: a websocket close code and a text that the user may see."""

    code: int
    reason: str

    def __attrs_post_init__(self) -> None:
        cut = self.reason.encode()[:REASON_MAX_BYTES].decode(errors="ignore")
        object.__setattr__(self, "reason", cut)


def bad_ticket() -> Refusal:
    """The ticket is unknown, used or old; which of them is not told."""
    return Refusal(4401, "the ticket is unknown, used or expired")


def forbidden(reason: str) -> Refusal:
    """The user has no right to this console (any more)."""
    return Refusal(4403, reason)


def gone(reason: str = "the server does not exist any more") -> Refusal:
    """The server is deleted."""
    return Refusal(4404, reason)


def not_running(reason: str = "the server is not running") -> Refusal:
    """The server is stopped, or runs elsewhere than when the console was opened."""
    return Refusal(4409, reason)


def too_many(reason: str) -> Refusal:
    """A limit on live consoles is reached."""
    return Refusal(4429, reason)


def unreachable(reason: str) -> Refusal:
    """The screen cannot be reached, or not be checked."""
    return Refusal(4503, reason)


@frozen
class Target:
    """What a ticket leads to, as it was read when the ticket was used.

    ``host`` is the node's address in digits, ``instance`` the cluster's own identity of the guest
    (a server that was replaced under the same port has another one), ``password`` the 8
    characters that the browser must know, ``screen_password`` the hypervisor's own, if any,
    ``token_id`` the API token and ``session_id`` the browser's sign-in that it was asked for with,
    0 for none.
    """

    session_key: str
    user_uuid: str
    server_id: int
    instance: str
    host: str
    port: int
    password: str = field(repr=False)
    screen_password: str | None = field(default=None, repr=False)
    token_id: int = 0
    session_id: int = 0


class ConsoleTargets(Protocol):
    """What the console asks of the component that owns servers and users."""

    async def open(
        self, ticket: str, remote: str, lost: Callable[[Refusal], None]
    ) -> Target | Refusal:
        """Use up the ticket, for the client at address ``remote``, and read its target anew.

        After a Target ``lost`` is called when the user loses the right to it, unless ``closed`` is
        called before.
        """

    async def verify(self, targets: Sequence[Target]) -> Mapping[str, Refusal]:
        """Those of the live sessions that must end because of their servers, by session key; asked
        about every second."""

    async def closed(self, target: Target) -> None:
        """A session whose target was given by ``open`` has ended."""

    async def explain_loss(self, target: Target) -> Refusal | None:
        """Why the hypervisor closed the screen of a live session; None if that is not known."""


@frozen(kw_only=True)
class ConsoleLimits:
    """Bounds of one process; times in seconds, sizes in bytes."""

    sessions: int = 500
    connections: int = 1000
    open_seconds: float = 10.0
    connect_seconds: float = 5.0
    greeting_seconds: float = 5.0
    authentication_seconds: float = 30.0
    upgrade_seconds: float = 5.0
    closing_seconds: float = 1.0
    ping_seconds: float = 30.0
    check_seconds: float = 0.7
    unchecked_seconds: float = 5.0
    head_bytes: int = 8192
    message_bytes: int = 1024 * 1024
    early_bytes: int = 4096
    screen_ports: tuple[int, int] = (11000, 14999)
