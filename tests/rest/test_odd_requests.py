"""Requests whose bytes are HTTP, and no text that an endpoint could read."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from synnefo_tx.faults import TooManyRequests, Unauthorized, UnprocessableEntity
from synnefo_tx.rest.endpoint import Call, endpoint
from tests.support.http import SiteTestCase, connect

HEADERS = (
    "Accept",
    "Content-Type",
    "Cookie",
    "Host",
    "Idempotency-Key",
    "Last-Event-ID",
    "Origin",
    "X-Auth-Token",
    "X-Forwarded-For",
)


class Open:
    """Endpoints for anybody, by a fixed path and by one that is routed."""

    @endpoint("POST", "/fixed", action="compute:versions", ways=("token", "none"))
    async def fixed(self, call: Call[None]) -> dict[str, str]:
        """Answer."""
        return {"last": call.last_event_id}

    @endpoint("POST", "/routed/<name>", action="compute:versions", ways=("token", "none"))
    async def routed(self, call: Call[None], name: str) -> dict[str, str]:
        """Answer."""
        return {"last": call.last_event_id}


class Refusing:
    """An endpoint that refuses."""

    @endpoint("POST", "/refused/<name>", action="compute:versions", ways=("none",))
    async def refused(self, call: Call[None], name: str) -> None:
        """Refuse."""
        raise TooManyRequests("no") if name == "often" else UnprocessableEntity("no")


class Uncountable:
    """Metrics that fail."""

    def count(self, endpoint: str, status: int, seconds: float) -> None:
        raise ZeroDivisionError


class OddRequestTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve("/open", Open(), Refusing())

    async def sent(self, path: bytes, header: bytes = b"", method: bytes = b"POST") -> bytes:
        head = b"%s %s HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n%s\r\n"
        raw = await connect(self.url, head % (method, path, header))
        ended: Deferred[bytes] = raw.ended
        return await ended.addTimeout(5, reactor)

    async def test_headers_that_are_no_text(self) -> None:
        """Bytes that are no UTF-8 are answered like any other wrong value: never a 500, never
        silence, on whichever path."""
        for path in (b"/open/fixed", b"/open/routed/x", b"/nowhere", b"/open/nowhere"):
            for name in HEADERS:
                received = await self.sent(path, b"%s: \xff\xfe\r\n" % name.encode())
                status = received.split(b" ", 2)[1]
                self.assertIn(status, (b"200", b"400", b"401", b"404"), (path, name, received))
                self.assertIn(b"X-Request-Id: req-", received, (path, name))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_token_that_is_no_text(self) -> None:
        """A token of such bytes is a wrong one."""
        seen = []

        async def authenticate(token: str) -> None:
            seen.append(token)
            raise Unauthorized("Invalid token")

        self.authenticate = authenticate
        received = await self.sent(b"/open/fixed", b"X-Auth-Token: \xff\r\n")
        self.assertEqual((received[:12], seen), (b"HTTP/1.1 401", ["\ufffd"]))

    async def test_host(self) -> None:
        """What stands as the host decides nothing, also where no host could have that name."""
        for host in (b"a" * 64 + b".x", b"..", b"x y", b"[::", b""):
            received = await self.sent(b"/open/routed/x", b"Host: %s\r\n" % host)
            self.assertEqual(received[:12], b"HTTP/1.1 200", host)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_path_that_is_no_text(self) -> None:
        """A path of such bytes is a 400 with what all replies carry; the log has no traceback."""
        for path in (b"/open/routed/%ff", b"/%fe/x", b"/open/fixed/%ed%a0%80"):
            received = await self.sent(path)
            self.assertEqual(received[:12], b"HTTP/1.1 400", path)
            for part in (b"X-Request-Id: req-", b"nosniff", b'{"badRequest"'):
                self.assertIn(part, received, path)
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_phrases(self) -> None:
        """Each status has its name in the first line of the reply."""
        for name, line in (("often", b"429 Too Many Requests"), ("x", b"422 Unprocessable ")):
            received = await self.sent(b"/open/refused/%s" % name.encode())
            self.assertTrue(received.startswith(b"HTTP/1.1 " + line), received[:60])

    async def test_defect_of_the_wrapper(self) -> None:
        """When the wrapper itself fails the client is told so, by whichever way it came."""
        self.site.metrics = Uncountable()
        for path in (b"/open/fixed", b"/open/routed/x", b"/nowhere"):
            received = await self.sent(path)
            self.assertEqual(received[:12], b"HTTP/1.1 500", path)
            self.assertIn(b'"Unexpected error"', received)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
