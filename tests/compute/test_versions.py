"""What the APIs say of themselves."""

from __future__ import annotations

from tests.support.cloud import CloudHttpTestCase


class VersionTests(CloudHttpTestCase):
    async def test_compute(self) -> None:
        """Compute lists and shows its version, without a token."""
        answer = await self.request("GET", "/compute/", token=None)
        self.assertEqual([each["id"] for each in answer.json["versions"]], ["v2.0"])
        answer = await self.request("GET", "/compute/v2.0/", token=None)
        version = answer.json["version"]
        self.assertEqual((version["id"], version["status"]), ("v2.0", "CURRENT"))
        self.assertIn("media_types", version)

    async def test_network(self) -> None:
        """Network lists its version, and what it serves, with and without a token."""
        answer = await self.request("GET", "/network/", token=None)
        self.assertEqual([each["status"] for each in answer.json["versions"]], ["CURRENT"])
        for token in (None, ""):
            answer = await self.request("GET", "/network/v2.0/", token=token)
            names = [each["collection"] for each in answer.json["resources"]]
            self.assertEqual((answer.status, names), (200, ["networks", "subnets", "ports"]))

    async def test_extensions(self) -> None:
        """There are no extensions."""
        answer = await self.request("GET", "/compute/v2.0/extensions")
        self.assertEqual(answer.json, {"extensions": []})
        answer = await self.request("GET", "/compute/v2.0/extensions/os-none")
        self.assertEqual(answer.status, 404)
