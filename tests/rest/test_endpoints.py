"""What holds for every endpoint, by the registry."""

from __future__ import annotations

import json
import re

from tests.support.cloud import CloudHttpTestCase
from tests.support.http import connect
from tests.support.reference import ROOT, endpoints_reference

PARAMETER = re.compile(r"<[^>]+>")
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")


class EveryEndpointTests(CloudHttpTestCase):
    def path(self, mounted) -> str:
        return PARAMETER.sub("1", mounted.path)

    def with_body(self):
        return [each for each in self.app.site.mounted if each.endpoint.body is not None]

    async def test_token(self) -> None:
        """Without a token, and with a wrong one, everything that is not public is a 401."""
        for mounted in self.app.site.mounted:
            if "none" in mounted.endpoint.ways:
                continue
            for token in (None, "wrong"):
                answer = await self.request(
                    mounted.endpoint.method, self.path(mounted), token=token
                )
                self.assertEqual((mounted.name, answer.status), (mounted.name, 401))
                self.assertEqual(answer.json["unauthorized"]["code"], 401)

    async def test_nul(self) -> None:
        """A URL that holds a NUL is a 400, in a path and in a query."""
        for mounted in self.app.site.mounted:
            if "token" not in mounted.endpoint.ways or mounted.endpoint.body is not None:
                continue
            with_path = PARAMETER.sub("a%00b", mounted.path)
            for path in {f"{self.path(mounted)}?a=%00"} | ({with_path} - {mounted.path}):
                answer = await self.request(mounted.endpoint.method, path)
                self.assertEqual((path, answer.status), (path, 400))

    async def test_reference(self) -> None:
        """docs/endpoints.md is what the records say: python -m tests.support.reference writes
        it."""
        written = (ROOT / "docs" / "endpoints.md").read_text(encoding="utf-8")
        self.assertEqual(written, endpoints_reference(self.app.site.mounted))

    async def test_wrong_token(self) -> None:
        """A wrong token is a 401 also where none is needed but a caller may be known."""
        for mounted in self.app.site.mounted:
            if len(mounted.endpoint.ways) > 1:
                answer = await self.request(
                    mounted.endpoint.method, self.path(mounted), token="wrong"
                )
                self.assertEqual((mounted.name, answer.status), (mounted.name, 401))

    async def test_method(self) -> None:
        """A method that a path does not have is a 405 that names those it has."""
        allowed: dict[str, set[str]] = {}
        for mounted in self.app.site.mounted:
            allowed.setdefault(self.path(mounted), set()).add(mounted.endpoint.method)
        for path, methods in allowed.items():
            wrong = next(each for each in METHODS if each not in methods)
            answer = await self.request(wrong, path, b"")
            self.assertEqual((path, answer.status), (path, 405))
            self.assertLessEqual(methods, set(answer.header("Allow").split(", ")))
            self.assertIn("notAllowed", answer.json)
            for unknown in ("TRACE", "CONNECT", "BREW"):
                answer = await self.request(unknown, path)
                self.assertEqual((path, unknown, answer.status), (path, unknown, 405))

    async def test_media_type(self) -> None:
        """A body that does not say it is JSON is a 400."""
        for mounted in self.with_body():
            answer = await self.request(
                mounted.endpoint.method,
                self.path(mounted),
                b"{}",
                headers={"Content-Type": "text/plain"},
            )
            self.assertEqual((mounted.name, answer.status), (mounted.name, 400))

    async def test_malformed(self) -> None:
        """Broken JSON, duplicate keys, UTF-16, deep nesting and wrong types are a 400."""
        bodies = [
            b"{",
            b'{"a": 1, "a": 2}',
            '{"a": 1}'.encode("utf-16"),
            b"[" * 100 + b"]" * 100,
            b'{"a": NaN}',
            b'{"a": 1e999}',
            b'{"a": ' + b"9" * 5000 + b"}",
            b'\xef\xbb\xbf{"a": 1}',
            b'{"a": "\xff"}',
            b'"text"',
            b"[]",
            b"null",
        ]
        for mounted in self.with_body():
            for body in bodies:
                answer = await self.request(
                    mounted.endpoint.method,
                    self.path(mounted),
                    body,
                    headers={"Content-Type": "application/json"},
                )
                self.assertEqual((mounted.name, body, answer.status), (mounted.name, body, 400))

    async def test_oversized(self) -> None:
        """A body over the limit is a 413 before it is read, announced or not."""
        announced = (
            b"POST /compute/v2.0/servers HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
        )
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        chunked = (
            b"POST /compute/v2.0/servers HTTP/1.1\r\nHost: x\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 20
        )
        for sent in (announced, chunked):
            raw = await connect(self.url, sent)
            self.assertIn(b" 413 ", (await raw.ended).split(b"\r\n")[0])

    async def test_length(self) -> None:
        """Answers and faults tell their length: none is sent in chunks."""
        for path in ("/compute/v2.0/servers/detail", "/compute/v2.0/servers/999999"):
            sent = (
                f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                f"X-Auth-Token: {self.user_token}\r\n\r\n"
            )
            raw = await connect(self.url, sent.encode())
            head, _, body = (await raw.ended).partition(b"\r\n\r\n")
            self.assertIn(b"content-length: %d" % len(body), head.lower().split(b"\r\n"))

    async def test_headers(self) -> None:
        """Every reply names its request, may not be kept or framed, and hides the server."""
        for mounted in self.app.site.mounted:
            # A stream has no end: it is asked for without a token.
            token = None if mounted.endpoint.reply_type == "text/event-stream" else ""
            answer = await self.request(
                mounted.endpoint.method, self.path(mounted), b"", token=token
            )
            self.assertTrue(answer.header("X-Request-Id").startswith("req-"), mounted.name)
            self.assertIn("no-store", answer.header("Cache-Control"))
            self.assertEqual(answer.header("X-Content-Type-Options"), "nosniff")
            self.assertEqual(answer.header("X-Frame-Options"), "DENY")
            self.assertIsNone(answer.header("Server"))
            if answer.body:
                self.assertIn("charset=", answer.header("Content-Type"), mounted.name)

    async def test_unknown_path(self) -> None:
        """An unknown path below a component is a 400, elsewhere a 404, both as JSON."""
        answer = await self.request("GET", "/compute/v2.0/nonexistent")
        self.assertEqual((answer.status, list(answer.json)), (400, ["badRequest"]))
        answer = await self.request("GET", "/nonexistent")
        self.assertEqual((answer.status, list(answer.json)), (404, ["itemNotFound"]))

    async def test_many_query_arguments(self) -> None:
        """A thousand query arguments are refused."""
        query = "&".join(f"k{number}=v" for number in range(1000))
        answer = await self.request("GET", f"/compute/v2.0/servers?{query}")
        self.assertEqual(answer.status, 400)

    async def test_forged_identity(self) -> None:
        """Headers that claim another identity change nothing."""
        other = await self.make_caller("other@example.org")
        headers = {
            "X-User-Id": other.user,
            "X-Roles": "admin",
            "X-Is-Admin-Project": "True",
            "X-Shib-User": "other@example.org",
            "Remote-User": "other@example.org",
            "X-Forwarded-For": "127.0.0.1",
        }
        plain = await self.request("GET", "/account/v1.0/quotas")
        forged = await self.request("GET", "/account/v1.0/quotas", headers=headers)
        self.assertEqual(list(forged.json), list(plain.json))

    async def test_defect(self) -> None:
        """An unexpected error is a 500 with the request's id and nothing of its cause."""
        async with self.database.transaction("break") as tx:
            await tx.run("ALTER TABLE flavors RENAME TO gone")
        answer = await self.request("GET", "/compute/v2.0/flavors")
        self.assertEqual(answer.status, 500)
        text = json.dumps(answer.json)
        self.assertIn(answer.header("X-Request-Id"), text)
        self.assertNotIn("flavors", text)
        self.assertEqual(len(self.flushLoggedErrors()), 1)
