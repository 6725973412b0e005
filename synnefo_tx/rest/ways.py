"""The ways in which a request may say who sends it.

An authenticator looks for its own kind of credential: None if the request has none of it, the
caller if it is good; it raises Unauthorized (or Forbidden) if it is there and no good. So a bad
credential never falls back to another or to nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from twisted.web.server import Request

from synnefo_tx.caller import Caller
from synnefo_tx.faults import Unauthorized
from synnefo_tx.rest.endpoint import Endpoint, Way

Authenticator = Callable[[Request], Awaitable[Caller | None]]
Authenticators = Mapping[Way, Authenticator]


def by_token(authenticate: Callable[[str], Awaitable[Caller]]) -> Authenticator:
    """The way ``token``: ``authenticate`` is given what stands in X-Auth-Token."""

    async def look(request: Request) -> Caller | None:
        token = request.getHeader("X-Auth-Token")
        return await authenticate(token) if token else None

    return look


async def identify(
    endpoint: Endpoint, request: Request, authenticators: Authenticators
) -> Caller | None:
    """Who calls, by the first of the endpoint's ways that the request carries.

    None where the endpoint has the way ``none``, else raises Unauthorized.
    """
    for way in endpoint.ways:
        if way == "none":
            return None
        caller = await authenticators[way](request)
        if caller is not None:
            return caller
    raise Unauthorized("Access denied")


def missing_ways(endpoint: Endpoint, authenticators: Authenticators) -> list[Way]:
    """Ways that an endpoint names and nobody knows how to check."""
    return [way for way in endpoint.ways if way != "none" and way not in authenticators]
