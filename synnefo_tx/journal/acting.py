"""Who acts now.

The wrapper of endpoints and the runner of commands say it once; it travels in a ContextVar with
their coroutine, as the request's id does, and ends with it. What nobody is behind, the pollers and
timers do, is done by the system.
"""

from __future__ import annotations

from contextvars import ContextVar

from attrs import frozen

SYSTEM = "system"
OPERATOR = "operator:"


@frozen
class Actor:
    """A user's uuid, ``operator:<login>``, ``system``, or nothing for somebody unknown; and the
    address that the request came from."""

    name: str
    remote: str = ""


acting: ContextVar[Actor] = ContextVar("acting", default=Actor(SYSTEM))  # noqa: B039 (frozen)


def operator(login: str) -> Actor:
    """The operator who runs a command."""
    return Actor(OPERATOR + login)
