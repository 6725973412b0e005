"""From a request's method and path to an endpoint: one look for paths without a variable part,
Klein for the others.

Klein's way from a path to its function costs as much as a small endpoint itself, and making its
rules a millisecond each. So they are made when a process begins to serve, not by a command that
serves nothing, and once for all sites with the same paths.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from attrs import frozen
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.exceptions import HTTPException

from synnefo_tx.rest.endpoint import Endpoint
from synnefo_tx.rest.request import LimitedRequest

Method = Callable[..., Awaitable[Any]]


@frozen
class Mounted:
    """An endpoint at its full path."""

    endpoint: Endpoint
    path: str
    method: Method

    @property
    def name(self) -> str:
        return f"{self.endpoint.method} {self.path}"

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What the path may end with."""
        return ("", ".json", ".xml") if self.endpoint.takes_suffix else ("",)

    @property
    def paths(self) -> tuple[str, ...]:
        """The path with each of its suffixes."""
        return tuple(self.path + each for each in self.suffixes)


class Served(Protocol):
    """What answers requests that found an endpoint, and those that found none."""

    async def serve(
        self, mounted: Mounted, request: LimitedRequest, arguments: dict[str, str]
    ) -> bytes | None:
        """The body to be written, or None if it is written by itself."""
        ...

    def unrouted(self, request: Request, error: HTTPException) -> bytes:
        """The body for a request that leads nowhere."""
        ...

    def unreadable(self, request: Request) -> bytes:
        """The body for a path that is no text."""
        ...


class Paths(Resource):
    """All endpoints of a site, by their paths."""

    isLeaf = True

    def __init__(self, served: Served, mounted: Sequence[Mounted]) -> None:
        super().__init__()
        self._served = served
        self._by_name = {each.name: each for each in mounted}
        self._fixed = {
            (each.endpoint.method.encode(), path.encode()): each
            for each in mounted
            if "<" not in each.path
            for path in each.paths
        }
        routes = tuple((each.name, each.endpoint.method, each.paths) for each in mounted)
        # Klein itself keeps only a weak reference to what it binds.
        self._bound = _router(routes).__get__(self, Paths)
        self._klein = self._bound.resource()

    def render(self, request: LimitedRequest) -> Any:
        """See Resource."""
        mounted = self._fixed.get((request.method, request.path))
        if mounted is None:
            is_text = _is_utf8(b"/".join(request.postpath or ()))
            return self._klein.render(request) if is_text else self._served.unreadable(request)
        serving = Deferred.fromCoroutine(self._answer(mounted, request))
        # A client that went away needs no answer.
        request.notifyFinish().addErrback(lambda _: serving.cancel())
        serving.addErrback(lambda failure: failure.trap(CancelledError))
        serving.addErrback(request.processingFailed)
        serving.addErrback(lambda _: None)
        return NOT_DONE_YET

    async def _answer(self, mounted: Mounted, request: LimitedRequest) -> None:
        body = await self._served.serve(mounted, request, {})
        if body is not None and not request.lost:
            request.write(body)
            request.finish()

    async def routed(
        self, name: str, request: LimitedRequest, arguments: dict[str, str]
    ) -> bytes | None:
        """What Klein writes for a request that it brought to an endpoint."""
        body = await self._served.serve(self._by_name[name], request, arguments)
        if body is None:
            await request.notifyFinish().addErrback(lambda _: None)
        return body

    def unrouted(self, request: Request, error: HTTPException) -> bytes:
        """What Klein writes for a request that it brought nowhere."""
        return self._served.unrouted(request, error)


@lru_cache(maxsize=8)
def _router(routes: tuple[tuple[str, str, tuple[str, ...]], ...]) -> Klein:
    """Routes by name, method and paths, to be bound to a ``Paths``."""
    app = Klein()
    app.handle_errors(HTTPException)(
        lambda paths, request, failure: paths.unrouted(request, failure.value)
    )
    for name, method, paths in routes:
        for path in paths:
            # The path tells routes of one endpoint apart.
            options = {"methods": [method], "endpoint": f"{method} {path}", "strict_slashes": False}
            app.route(path, **options)(_handler(name))
    return app


def _handler(name: str) -> Callable[..., Deferred[bytes | None]]:
    def handle(paths: Paths, request: LimitedRequest, **arguments: str) -> Deferred[bytes | None]:
        return Deferred.fromCoroutine(paths.routed(name, request, arguments))

    return handle


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
