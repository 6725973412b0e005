"""The record that describes an endpoint, and the value that describes a call of it.

A route is a method of a routes class, marked with ``@endpoint``; ``rest.site`` serves it. Routing,
authentication, policy, body and reply all follow from the record, and so do the tests that run over
all endpoints.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Literal, TypeVar

from attrs import Factory, frozen

from synnefo_tx.caller import Caller
from synnefo_tx.faults import Unauthorized
from synnefo_tx.rest import policy

B = TypeVar("B")
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

Authentication = Literal["token", "optional", "none"]


@frozen
class Endpoint:
    """One method and path, and all that the wrapper needs to know about it.

    ``cheap`` ones are served even when the process has as many requests as it takes.
    """

    method: str
    path: str
    action: str
    body: type[Any] | None = None
    status: int = 200
    authentication: Authentication = "token"
    empty_body_allowed: bool = False
    cheap: bool = False
    summary: str = ""


@frozen
class Call(Generic[B]):
    """One request: who calls, from where, the decoded body and the first of each query argument."""

    body: B
    remote: str = ""
    query: Mapping[str, str] = Factory(dict)
    headers: Mapping[str, str] = Factory(dict)
    caller_or_none: Caller | None = None

    @property
    def caller(self) -> Caller:
        """The caller; raises Unauthorized when there is none."""
        if self.caller_or_none is None:
            raise Unauthorized("Authentication is needed")
        return self.caller_or_none


@frozen
class Reply:
    """An answer whose status or headers differ from the endpoint's own.

    ``delivered`` is called once the whole reply was handed to the connection.
    """

    body: Any = None
    status: int | None = None
    headers: Mapping[str, str] = Factory(dict)
    delivered: Callable[[], Awaitable[None]] | None = None


def endpoint(
    method: str,
    path: str,
    *,
    action: str,
    body: type[Any] | None = None,
    status: int = 200,
    authentication: Authentication = "token",
    empty_body_allowed: bool = False,
    cheap: bool = False,
) -> Callable[[F], F]:
    """Mark a method of a routes class as the endpoint at ``path`` below the class's prefix."""
    if action not in policy.RULES:
        raise ValueError(f"no policy for action {action}")

    def mark(function: F) -> F:
        summary = (function.__doc__ or "").strip().splitlines()
        if not summary:
            raise ValueError(f"endpoint {method} {path} has no docstring")
        record = Endpoint(
            method,
            path,
            action,
            body,
            status,
            authentication,
            empty_body_allowed,
            cheap,
            summary[0],
        )
        marks: list[Endpoint] = getattr(function, "endpoints", [])
        function.endpoints = [*marks, record]  # type: ignore[attr-defined]
        return function

    return mark


def endpoints_of(routes: object) -> list[tuple[Endpoint, Callable[..., Awaitable[Any]]]]:
    """The endpoints of a routes object with their bound methods, in the order of their names."""
    found = []
    for name in dir(type(routes)):
        for record in getattr(getattr(type(routes), name), "endpoints", []):
            found.append((record, getattr(routes, name)))
    return found
