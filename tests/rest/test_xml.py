"""Replies and faults in XML, where the original had them."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element, fromstring

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.compute import xml as compute
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.rest.xml import fault_element, written
from tests.support.cloud import IMAGE, CloudHttpTestCase

COMPUTE = "{http://docs.openstack.org/compute/api/v1.1}"
COMMON = "{http://docs.openstack.org/common/api/v1.0}"
IDENTITY = "{http://docs.openstack.org/identity/api/v2.0}"
ACCEPT = {"Accept": "application/xml"}
LEGAL = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"))


def parsed(body: bytes) -> Element:
    """What a client reads of our own document."""
    return fromstring(body)  # noqa: S314


class WrittenTests(SynchronousTestCase):
    def item(self, name: str, metadata: dict[str, str]) -> Element:
        """A server as a client reads it."""
        server = {
            "id": 7, "name": name, "status": "ACTIVE", "flavor": {"id": 1}, "image": {"id": "x"},
            "metadata": metadata, "addresses": {"3": [{"version": 4, "addr": "192.0.2.1"}]},
        }  # fmt: skip
        return parsed(written(compute.servers({"servers": [server]})))[0]

    @given(LEGAL, st.dictionaries(LEGAL, LEGAL, max_size=3))
    def test_any_text(self, name: str, metadata: dict[str, str]) -> None:
        """Whatever characters a user gives stay what they are, and are nothing but text."""
        server = self.item(name, metadata)
        self.assertEqual(server.get("name"), name)
        found = {each.get("key"): each.text or "" for each in server.iter(f"{COMPUTE}meta")}
        self.assertEqual(found, metadata)
        (address,) = server.iter(f"{COMPUTE}ip")
        self.assertEqual(address.attrib, {"version": "4", "addr": "192.0.2.1"})

    @given(st.text())
    def test_no_character(self, name: str) -> None:
        """What XML has no character for does not break the document."""
        self.assertEqual(self.item(name.encode("utf-8", "replace").decode(), {}).get("id"), "7")

    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_fault(self, message: str) -> None:
        """A fault has its name, code and text."""
        root = parsed(written(fault_element(ItemNotFound(message), COMPUTE[1:-1])))
        self.assertEqual((root.tag, root.get("code")), (f"{COMPUTE}itemNotFound", "404"))


class XmlTests(CloudHttpTestCase):
    async def asked(self, path: str, method: str = "GET", body: Any = None, **headers) -> Element:
        """The XML of a reply."""
        answer = await self.request(method, path, body, headers=headers or ACCEPT)
        self.assertEqual(answer.header("Content-Type"), "application/xml; charset=UTF-8", path)
        self.assertTrue(answer.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<'))
        return parsed(answer.body)

    async def test_every_shape(self) -> None:
        """Every endpoint that has a shape gives the things that its JSON has."""
        made = await self.request(
            "POST", "/network/v2.0/networks", {"network": {"type": "MAC_FILTERED"}}
        )
        network = made.json["network"]["id"]
        subnet = {"network_id": network, "cidr": "192.168.0.0/24"}
        await self.request("POST", "/network/v2.0/subnets", {"subnet": subnet})
        server = await self.built(metadata={"role": "web & <db>"})
        ports = (await self.request("GET", "/network/v2.0/ports")).json["ports"]
        values = {
            "server_id": server, "key": "role", "network_id": network, "image_id": IMAGE,
            "flavor_id": self.flavor, "port_id": ports[0]["id"],
        }  # fmt: skip
        seen = 0
        for mounted in self.app.site.mounted:
            if mounted.endpoint.xml is None or mounted.endpoint.method != "GET":
                continue
            path = mounted.path
            for name, value in values.items():
                path = path.replace(f"<{name}>", str(value))
            answer = (await self.request("GET", path)).json
            root = await self.asked(path)
            ((name, content),) = answer.items()
            self.assertEqual(root.tag.partition("}")[2], name, path)
            if isinstance(content, list):
                ids = [str(each["id"]) for each in content]
                self.assertEqual([each.get("id") for each in root], ids, path)
            for suffix in mounted.suffixes[1:]:
                shown = await self.request("GET", path + suffix)
                self.assertIn(suffix[1:], shown.header("Content-Type"), path)
            seen += 1
        self.assertGreater(seen, 15)

    async def test_server(self) -> None:
        """A new server's reply has its password, its own has metadata and addresses."""
        wanted = {
            "name": 'a "b" <c>', "imageRef": IMAGE, "flavorRef": self.flavor,
            "adminPass": "Secret-<&>-1", "metadata": {"role": "web & <db>"},
        }  # fmt: skip
        path = "/compute/v2.0/servers"
        made = await self.asked(path, "POST", {"server": wanted})
        self.assertEqual((made.tag, made.get("adminPass")), (f"{COMPUTE}server", "Secret-<&>-1"))
        await self.settle()
        server = await self.asked(f"{path}/{made.get('id')}")
        self.assertEqual((server.get("name"), server.get("status")), ('a "b" <c>', "ACTIVE"))
        self.assertEqual(server.get("adminPass"), None)
        (meta,) = server.iter(f"{COMPUTE}meta")
        self.assertEqual((meta.get("key"), meta.text), ("role", "web & <db>"))
        self.assertEqual(len(list(server.iter(f"{COMPUTE}ip"))), 1)
        console = await self.asked(
            f"{path}/{made.get('id')}/action", "POST", {"console": {"type": "vnc-wss"}}
        )
        self.assertTrue(console.get("url").startswith("wss://"))

    async def test_choice(self) -> None:
        """``format`` decides before the path's suffix, that before Accept, and the first there."""
        path = "/compute/v2.0/flavors"
        for asked, accept, expected in (
            (path, "application/xml", "xml"),
            (path, "text/html, application/xml;q=0.9, application/json", "xml"),
            (path, "application/json, application/xml", "json"),
            (path, "text/xml", "json"),
            (f"{path}.json", "application/xml", "json"),
            (f"{path}.xml", "application/json", "xml"),
            (f"{path}.xml?format=json", "application/xml", "json"),
            (f"{path}?format=xml", "application/json", "xml"),
            (f"{path}?format=atom", "application/json", "json"),
            ("/account/v1.0/quotas?format=xml", "application/xml", "json"),
        ):
            answer = await self.request("GET", asked, headers={"Accept": accept})
            content_type = f"application/{expected}; charset=UTF-8"
            self.assertEqual((asked, answer.header("Content-Type")), (asked, content_type))

    async def test_own_names(self) -> None:
        """A metadata key that ends like a suffix is a key."""
        path = f"/compute/v2.0/servers/{await self.built()}/metadata/a.xml"
        await self.request("PUT", path, {"meta": {"a.xml": "b"}})
        shown = await self.request("GET", path)
        self.assertEqual(shown.json, {"meta": {"a.xml": "b"}})
        self.assertEqual((await self.asked(path)).get("key"), "a.xml")

    async def test_faults(self) -> None:
        """Faults are XML for who wants it, in the namespace of their API."""
        absent = await self.asked("/compute/v2.0/servers/999")
        self.assertEqual((absent.tag, absent.get("code")), (f"{COMPUTE}itemNotFound", "404"))
        self.assertEqual(absent.findtext(f"{COMPUTE}message"), "Server not found.")
        unknown = await self.asked("/identity/v2.0/nonexistent")
        self.assertEqual((unknown.tag, unknown.get("code")), (f"{IDENTITY}badRequest", "400"))
        wrong = await self.asked("/compute/v2.0/servers", "PATCH")
        self.assertEqual(wrong.tag, f"{COMPUTE}notAllowed")

    async def test_token(self) -> None:
        """A token's reply is XML for who wants it."""
        body = {"auth": {"token": {"id": self.user_token}}}
        root = await self.asked("/identity/v2.0/tokens", "POST", body)
        self.assertEqual(root.tag, f"{IDENTITY}access")
        self.assertEqual(root.find(f"{IDENTITY}token").get("id"), self.user_token)
        self.assertEqual(root.find(f"{IDENTITY}user").get("id"), self.user.user)
        types = {each.get("type") for each in root.iter(f"{IDENTITY}service")}
        self.assertIn("compute", types)
        versions = await self.asked("/compute/")
        self.assertEqual(versions.tag, f"{COMMON}versions")
