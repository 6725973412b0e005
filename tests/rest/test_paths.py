"""Paths and queries have one meaning, whoever reads them (ASVS 1.1.1, 15.3.7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.support.cloud import CloudHttpTestCase
from tests.support.http import connect

SERVERS = "/compute/v2.0/servers"


class PathTests(CloudHttpTestCase):
    async def test_decoded_once(self) -> None:
        """What is encoded twice is text and leads nowhere; a path is never made shorter, nor does
        one lead elsewhere by a redirect."""
        for path in (
            "/compute/v2.0/images/%252e%252e/servers",
            "/compute/v2.0/images/%2e%2e/servers",
            "/compute/v2.0/images/../servers",
            "/compute/v2.0//servers",
            "//evil.example/%2e%2e",
            "/compute//evil.example/%2f..",
            "/compute/v2.0/servers/%2e",
        ):
            answer = await self.request("GET", path)
            self.assertIn((path, answer.status), ((path, 400), (path, 404)))
            self.assertIsNone(answer.header("Location"))

    async def test_whole_url(self) -> None:
        """A target that is a whole URL, as to a proxy, leads where its path leads; what only looks
        like one does not."""
        for target, status in {
            b"http://elsewhere.example/compute/v2.0/flavors?x=1": b"200",
            b"HTTPS://u@[::1]:8/compute/v2.0/flavors": b"200",
            b"http://elsewhere.example": b"404",
            b"http:///compute/v2.0/flavors": b"200",
            b"ftp://elsewhere.example/compute/v2.0/flavors": b"404",
            b"/http://elsewhere.example/compute/v2.0/flavors": b"404",
        }.items():
            head = b"GET %s HTTP/1.1\r\nConnection: close\r\nX-Auth-Token: %s\r\n\r\n"
            raw = await connect(self.url, head % (target, self.user_token.encode()))
            self.assertEqual((await raw.ended).split(b" ")[1], status, target)

    async def test_repeated_query(self) -> None:
        """Of a query argument that is given twice the first counts, wherever it is looked at."""
        recently = datetime.now(UTC) - timedelta(minutes=1)
        good, bad = f"changes-since={recently:%Y-%m-%dT%H:%M:%SZ}", "changes-since=yesterday"
        for query, status in ((f"{good}&{bad}", 304), (f"{bad}&{good}", 400)):
            answer = await self.request("GET", f"{SERVERS}?{query}")
            self.assertEqual((query, answer.status), (query, status))
