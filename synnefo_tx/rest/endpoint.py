"""The record that describes an endpoint, and the value that describes a call of it.

A route is a method of a routes class, marked with ``@endpoint``; ``rest.site`` serves it. Routing,
authentication, policy, body, reply, rate and journal all follow from the record, and so do the
tests that run over all endpoints and ``docs/endpoints.md``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, Literal, TypedDict, TypeVar, Unpack, get_args

from attrs import Factory, field, frozen

from synnefo_tx.caller import Caller
from synnefo_tx.faults import Unauthorized
from synnefo_tx.rest import policy
from synnefo_tx.rest.kept import Claim
from synnefo_tx.rest.once import ALWAYS, Once
from synnefo_tx.rest.pieces import BodyPieces, NoPieces
from synnefo_tx.rest.xml import Shape

B = TypeVar("B")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])

Way = Literal["token", "session", "service", "signature", "tempurl", "none"]
RateClass = Literal["read", "write", "create", "login", "none"]
DialectName = Literal["cyclades", "astakos"]

WAYS: tuple[Way, ...] = get_args(Way)
RATE_CLASSES: tuple[RateClass, ...] = get_args(RateClass)
USER_WAYS: tuple[Way, ...] = ("token", "session")
"""How a user calls the API, in the order in which what a request carries is looked for."""
READING = frozenset({"GET", "HEAD", "OPTIONS"})

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
JSON_REPLY = "application/json; charset=UTF-8"


@frozen(kw_only=True)
class Endpoint:
    """One method and path, and all that the wrapper needs to know about it."""

    method: str
    path: str
    action: str
    """What ``rest.policy`` decides about."""
    summary: str
    ways: tuple[Way, ...] = USER_WAYS
    """Ways to authenticate, the first that a request carries counts; with ``none`` beside others a
    caller is known if there is one."""
    body: type[Any] | None = None
    empty_body_allowed: bool = False
    request_types: tuple[str, ...] = (JSON,)
    """Media types of a body that is decoded."""
    streamed_max_bytes: int | None = None
    """Largest body of one that is handed on in pieces (``Call.pieces``); None: it is collected."""
    status: int = 200
    reply_type: str = JSON_REPLY
    dialect: DialectName = "cyclades"
    xml: Shape | None = None
    """How its document is written in XML; None: it is JSON whatever is asked for."""
    cheap: bool = False
    """Served even when the process has as many requests as it takes."""
    idempotent: bool = False
    """An ``Idempotency-Key`` counts."""
    rate: RateClass = field()
    journal: str = field()
    """The name of what is done in the journal, empty where nothing is changed."""

    @rate.default
    def _rate(self) -> RateClass:
        return "read" if self.method in READING else "write"

    @journal.default
    def _journal(self) -> str:
        return "" if self.method in READING else self.action

    @property
    def takes_suffix(self) -> bool:
        """Whether its path may end with ``.json`` or ``.xml``; a name that users give is left
        whole."""
        free = self.path.endswith(">") and not self.path.endswith("_id>")
        return self.xml is not None and not free and not self.path.endswith("/")

    def __attrs_post_init__(self) -> None:
        if self.action not in policy.RULES:
            raise ValueError(f"no policy for action {self.action}")
        if not self.summary:
            raise ValueError(f"endpoint {self.method} {self.path} has no docstring")
        if self.xml is not None and self.reply_type != JSON_REPLY:
            raise ValueError(f"endpoint {self.method} {self.path}: XML stands beside JSON")
        if not self.ways or "none" in self.ways[:-1]:
            raise ValueError(f"endpoint {self.method} {self.path}: none is the last of its ways")
        if self.body is not None and self.streamed_max_bytes is not None:
            raise ValueError(f"endpoint {self.method} {self.path}: collected or streamed?")
        if self.idempotent and (self.method != "POST" or "none" in self.ways):
            raise ValueError(f"endpoint {self.method} {self.path}: keys are for a caller's POST")


class Options(TypedDict, total=False):
    """What an endpoint may say beside method, path and action; see ``Endpoint``."""

    ways: tuple[Way, ...]
    body: type[Any]
    empty_body_allowed: bool
    request_types: tuple[str, ...]
    streamed_max_bytes: int
    status: int
    reply_type: str
    dialect: DialectName
    xml: Shape
    cheap: bool
    idempotent: bool
    rate: RateClass
    journal: str


def no_header(name: str) -> None:
    """The headers of a call that no request made."""


@frozen
class Call(Generic[B]):
    """One request: who calls, from where, the decoded body and the first of each query argument.

    ``header(name)`` is a header, None if it is not there; credentials are the wrapper's business.
    """

    body: B
    remote: str = ""
    query: Mapping[str, str] = Factory(dict)
    last_event_id: str = ""
    """Where a stream of events was cut, as its client says (HTML standard §9.2.4)."""
    caller_or_none: Caller | None = None
    header: Callable[[str], str | None] = field(default=no_header, repr=False)
    pieces_or_none: BodyPieces | None = field(default=None, repr=False)
    claim_or_none: Claim | None = field(default=None, repr=False)

    @property
    def pieces(self) -> BodyPieces | NoPieces:
        """The body in pieces, where the endpoint says that it is handed on; empty without one."""
        return self.pieces_or_none or NoPieces()

    def once(self, reply_of: Callable[[R], Any]) -> Once[R]:
        """What lets an operation take effect once, if the request says so by its Idempotency-Key;
        ``reply_of`` makes of its result what the route returns."""
        return ALWAYS if self.claim_or_none is None else self.claim_or_none.once(reply_of)

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
    method: str, path: str, *, action: str, **options: Unpack[Options]
) -> Callable[[F], F]:
    """Mark a method of a routes class as the endpoint at ``path`` below the class's prefix."""

    def mark(function: F) -> F:
        summary = (function.__doc__ or "").strip().partition("\n")[0]
        record = Endpoint(method=method, path=path, action=action, summary=summary, **options)
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
