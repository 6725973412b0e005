"""Two tenants on one cloud: neither learns or changes what is the other's (ASVS 8.2.2, 8.4.1)."""

from __future__ import annotations

import re
from typing import Any

from synnefo_tx.identity.sessions.model import Visitor
from tests.support.cloud import IMAGE, CloudHttpTestCase
from tests.support.http import Answer

PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")
CANARY = "canary-of-the-owner"
ABSENT = {
    "server_id": "987654",
    "network_id": "987654",
    "subnet_id": "987654",
    "port_id": "987654",
    "image_id": "11111111-2222-4333-8444-555555555555",
    "id": "987654",
    "key": CANARY,
}
# What belongs to nobody; one-time parameters are known by an id that only their installer has.
OF_NOBODY = {"flavor_id", "alias", "params_id"}
BODIES: dict[str, Any] = {
    "PUT /compute/v2.0/servers/<server_id>": {"server": {"name": "taken"}},
    "POST /compute/v2.0/servers/<server_id>/action": {"reboot": {"type": "HARD"}},
    "POST /compute/v2.0/servers/<server_id>/metadata": {"metadata": {"taken": "yes"}},
    "PUT /compute/v2.0/servers/<server_id>/metadata/<key>": {"meta": {CANARY: "taken"}},
    "PUT /network/v2.0/networks/<network_id>": {"network": {"name": "taken"}},
}
ACTIONS: tuple[dict[str, Any], ...] = (
    {"start": {}},
    {"shutdown": {}},
    {"reboot": {"type": "SOFT"}},
    {"console": {"type": "vnc-wss"}},
    {"resize": {"flavorRef": 2}},
)


class TenantsTests(CloudHttpTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.stranger = await self.token(await self.make_caller("stranger@example.org"))
        self.owned = await self.own_things()

    async def own_things(self) -> dict[str, str]:
        """One of each thing that ``self.user`` can have, as the paths name them."""
        compute = self.app.compute
        network = await compute.networks.create_private(self.user, CANARY, "MAC_FILTERED", None)
        await compute.networks.add_subnet(self.user, network.id, "192.168.77.0/24")
        image = await compute.images.register(
            None, CANARY, self.user.user, "file:///x", {}, public=False
        )
        body = {
            "name": CANARY, "flavorRef": self.flavor, "imageRef": IMAGE,
            "networks": [{"uuid": str(network.id)}], "metadata": {CANARY: CANARY},
        }  # fmt: skip
        made = await self.request("POST", "/compute/v2.0/servers", {"server": body})
        self.assertEqual(made.status, 202, made.body)
        await self.settle()
        async with self.database.transaction("sign-in") as tx:
            visitor = Visitor("127.0.0.1")
            await self.app.identity.sessions.begin(tx, self.user.user, "v" * 43, visitor)
        (subnet,) = await self.listed("/network/v2.0/subnets", "subnets", network_id=network.id)
        (port,) = await self.listed("/network/v2.0/ports", "ports", network_id=network.id)
        (session,) = (await self.request("GET", "/ui/session")).json["sessions"]
        return {
            "server_id": str(made.json["server"]["id"]),
            "network_id": str(network.id),
            "subnet_id": str(subnet["id"]),
            "port_id": str(port["id"]),
            "image_id": image,
            "id": str(session["id"]),
            "key": CANARY,
        }

    async def listed(self, path: str, name: str, **fields: Any) -> list[dict[str, Any]]:
        """What a list has, with these fields."""
        found = (await self.request("GET", f"{path}/detail")).json[name]
        wanted = {key: str(value) for key, value in fields.items()}
        return [each for each in found if all(str(each[k]) == v for k, v in wanted.items())]

    def named(self) -> list[tuple[str, str, set[str]]]:
        """Method, path and parameters of each endpoint that names somebody's thing."""
        found = []
        for mounted in self.app.site.mounted:
            names = set(PARAMETER.findall(mounted.path))
            if names and not names & OF_NOBODY:
                found.append((mounted.endpoint.method, mounted.path, names))
        return found

    async def ask(self, method: str, path: str, ids: dict[str, str], body: Any) -> tuple[int, str]:
        """Status and body of a stranger's request, the thing's id taken out of it."""
        full = PARAMETER.sub(lambda found: ids[found[1]], path)
        answer = await self.request(method, full, body, token=self.stranger)
        text = answer.body.decode()
        for id in sorted(ids.values(), key=len, reverse=True):
            text = re.sub(rf"\b{re.escape(id)}\b", "ID", text)
        return answer.status, text

    async def everything(self) -> dict[str, bytes]:
        """All that the owner sees."""
        seen: dict[str, bytes] = {}
        for path in self.lists():
            answer: Answer = await self.request("GET", path)
            seen[path] = answer.body
        return seen

    def lists(self) -> list[str]:
        """Paths of the lists of what callers have."""
        return [
            mounted.path
            for mounted in self.app.site.mounted
            if mounted.endpoint.method == "GET"
            and "none" not in mounted.endpoint.ways
            and not PARAMETER.search(mounted.path)
            and mounted.path != "/events/v1"
        ]

    async def test_foreign_is_absent(self) -> None:
        """Whatever a stranger asks of a thing of another's, the answer is the one for a thing that
        was never there, and everything is as before."""
        before = await self.everything()
        asked = []
        for method, path, names in self.named():
            self.assertLessEqual(names, ABSENT.keys(), f"{path}: give the owner one of these")
            bodies = [BODIES.get(f"{method} {path}")]
            if path.endswith("/action"):
                bodies += ACTIONS
            for body in bodies:
                foreign = await self.ask(method, path, self.owned, body)
                absent = await self.ask(method, path, ABSENT, body)
                self.assertEqual((method, path, body, foreign), (method, path, body, absent))
                self.assertEqual((method, path, foreign[0]), (method, path, 404), foreign[1])
                asked.append(path)
        self.assertGreater(len(asked), 15)
        self.assertEqual(await self.everything(), before)

    async def test_lists(self) -> None:
        """No list of a stranger's shows a name, an address or an id of another's thing."""
        network = self.owned["network_id"]
        (port,) = await self.listed("/network/v2.0/ports", "ports", network_id=network)
        address = port["fixed_ips"][0]["ip_address"]
        secrets = (CANARY, self.user.user, self.owned["image_id"], address, port["mac_address"])
        shown = await self.everything()
        for secret in secrets:
            self.assertTrue(any(secret.encode() in body for body in shown.values()), secret)
        for path in self.lists():
            answer = await self.request("GET", path, token=self.stranger)
            self.assertEqual((path, answer.status), (path, 200))
            for secret in secrets:
                self.assertNotIn(secret.encode(), answer.body, path)

    async def test_children(self) -> None:
        """A thing of another's is not reached through one of one's own: a network for a server, a
        network for a subnet, an image, a project."""
        stranger = {"name": "mine", "flavorRef": self.flavor, "imageRef": IMAGE}
        for wrong in (
            {"networks": [{"uuid": self.owned["network_id"]}]},
            {"networks": [{"port": self.owned["port_id"]}]},
            {"imageRef": self.owned["image_id"]},
            {"project": self.user.user},
        ):
            answer = await self.request(
                "POST", "/compute/v2.0/servers", {"server": stranger | wrong}, token=self.stranger
            )
            self.assertIn(answer.status, (400, 403, 404), (wrong, answer.body))
            self.assertNotIn(CANARY.encode(), answer.body)
        subnet = {"network_id": self.owned["network_id"], "cidr": "10.9.0.0/24", "ip_version": 4}
        answer = await self.request(
            "POST", "/network/v2.0/subnets", {"subnet": subnet}, token=self.stranger
        )
        self.assertEqual(answer.status, 404, answer.body)
        mine = await self.request("GET", "/compute/v2.0/servers", token=self.stranger)
        self.assertEqual(mine.json["servers"], [])

    async def test_fields(self) -> None:
        """Fields that are not a user's to set mean nothing (ASVS 8.2.3)."""
        inner = {
            "user_id": self.user.user, "tenant_id": self.user.user, "backend": 1, "deleted": True,
            "suspended": False, "id": 4711, "status": "ACTIVE", "admin_state": "x", "task": "",
        }  # fmt: skip
        wanted = {"name": "mine", "flavorRef": self.flavor, "imageRef": IMAGE}
        made = await self.request(
            "POST", "/compute/v2.0/servers", {"server": inner | wanted}, token=self.stranger
        )
        server = made.json["server"]
        self.assertEqual((made.status, server["status"], server["deleted"]), (202, "BUILD", False))
        self.assertNotIn(self.user.user, (server["user_id"], server["tenant_id"]))
        self.assertNotEqual(server["id"], 4711)
        inner |= {"name": "mine", "type": "MAC_FILTERED", "public": True, "shared": True}
        made = await self.request(
            "POST", "/network/v2.0/networks", {"network": inner}, token=self.stranger
        )
        network = made.json["network"]
        self.assertEqual((made.status, network["public"], network["shared"]), (201, False, False))
        self.assertNotIn(self.user.user, (network["user_id"], network["tenant_id"]))
