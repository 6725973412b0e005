"""What an endpoint's record may say, and what the site makes of it."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Request

from synnefo_tx.caller import Caller
from synnefo_tx.faults import Unauthorized
from synnefo_tx.rest.endpoint import FORM, JSON, Call, Endpoint, endpoint
from synnefo_tx.rest.ways import Authenticators
from tests.support.http import SiteTestCase

ACTION = "compute:flavor:list"


def record(method: str = "POST", **options: Any) -> Endpoint:
    """An endpoint with little to say."""
    return Endpoint(method=method, path="/", action=ACTION, summary="Does it.", **options)


class RecordTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """What reads counts as reading and leaves nothing in the journal; the rest does both."""
        self.assertEqual((record("GET").rate, record("GET").journal), ("read", ""))
        self.assertEqual((record("PUT").rate, record("PUT").journal), ("write", ACTION))

    def test_contradictions(self) -> None:
        """A record that contradicts itself can't be made."""
        for wrong in (
            {"ways": ()},
            {"ways": ("none", "token")},
            {"body": dict, "streamed_max_bytes": 10},
            {"idempotent": True, "ways": ("token", "none")},
            {"idempotent": True, "method": "PUT"},
            {"xml": lambda document: None, "reply_type": "text/plain; charset=utf-8"},
        ):
            self.assertRaises(ValueError, record, **wrong)
        self.assertRaises(
            ValueError, Endpoint, method="GET", path="/", action="no:such", summary="Does it."
        )
        self.assertRaises(ValueError, Endpoint, method="GET", path="/", action=ACTION, summary="")


@frozen
class Named:
    """A body."""

    name: str


class Doors:
    """Endpoints with several ways, and a form."""

    @endpoint("GET", "/both", action=ACTION, ways=("token", "session"))
    @endpoint("GET", "/any", action="compute:versions", ways=("token", "session", "none"))
    async def who(self, call: Call[None]) -> dict[str, Any]:
        """Say who calls."""
        return {"user": call.caller_or_none.user if call.caller_or_none else None}

    @endpoint(
        "POST", "/named", action="compute:versions", ways=("none",),
        body=Named, request_types=(JSON, FORM),
    )  # fmt: skip
    async def named(self, call: Call[Named]) -> dict[str, Any]:
        """Say the name."""
        return {"name": call.body.name, "query": dict(call.query)}


class Signed:
    """An endpoint with a way that nobody checks."""

    @endpoint("GET", "/signed", action=ACTION, ways=("signature",))
    async def show(self, call: Call[None]) -> None:
        """Never served."""


class WaysTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.authenticate = self.by_token
        self.serve("", Doors())

    def ways(self) -> Authenticators:
        return super().ways() | {"session": self.by_session}

    async def by_token(self, token: str) -> Caller:
        if token != "good":
            raise Unauthorized("Invalid token")
        return Caller(user="of token")

    async def by_session(self, request: Request) -> Caller | None:
        cookie = request.getCookie(b"session")
        if cookie is None:
            return None
        if cookie != b"good":
            raise Unauthorized("Invalid session")
        return Caller(user="of session")

    async def test_first_way(self) -> None:
        """The first way of which a request carries something counts, also when that is wrong."""
        cookie, wrong = {"Cookie": "session=good"}, {"Cookie": "session=bad"}
        for token, headers, expected in (
            ("good", {}, "of token"),
            (None, cookie, "of session"),
            ("good", wrong, "of token"),
            ("bad", cookie, 401),
            (None, wrong, 401),
        ):
            for path in ("/both", "/any"):
                answer = await self.request("GET", path, token=token, headers=headers)
                found = answer.json["user"] if answer.status == 200 else answer.status
                self.assertEqual((path, token, found), (path, token, expected))
        self.assertEqual((await self.request("GET", "/both")).status, 401)
        self.assertEqual((await self.request("GET", "/any")).json, {"user": None})

    async def test_unchecked_way(self) -> None:
        """An endpoint with a way that nobody checks is not served at all."""
        self.assertRaises(ValueError, self.site.mount, "", Signed())

    async def test_form(self) -> None:
        """A form is read where an endpoint takes it, strictly, and never as query arguments."""
        for body, expected in (
            (b"name=a%20%26+b", "a & b"),
            (b"name=%CE%B1&more=1", "\u03b1"),
            (b"name=a&name=b", 400),
            (b"name=%ff", 400),
            (b"name=%00", 400),
            (b"name", 400),
            (b"", 400),
            (b"&".join(b"a%d=b" % number for number in range(200)), 400),
        ):
            answer = await self.request(
                "POST", "/named?q=1", body, headers={"Content-Type": f"{FORM}; charset=utf-8"}
            )
            if answer.status == 200:
                self.assertEqual(answer.json, {"name": expected, "query": {"q": "1"}})
            else:
                self.assertEqual((body, answer.status), (body, expected))
        answer = await self.request("POST", "/named", {"name": "json"})
        self.assertEqual(answer.json["name"], "json")
