"""Compute's documents as XML, where the original had them so (compute-api reference §1).

Names of elements and attributes are the original's. What it left empty by mistake is filled: a
server's metadata, addresses, flavor and image, a network's subnets (compute-api reference §12.31).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from xml.etree.ElementTree import Element

from synnefo_tx.rest.dialect import COMPUTE_NAMESPACE
from synnefo_tx.rest.xml import Shape, element

Document = Mapping[str, Any]

ATOM = {"xmlns:atom": "http://www.w3.org/2005/Atom"}
ROOT = {"xmlns": COMPUTE_NAMESPACE, **ATOM}
VERSIONS_ROOT = {"xmlns": "http://docs.openstack.org/common/api/v1.0", **ATOM}


def _root(tag: str, children: list[Element]) -> Element:
    return element(tag, ROOT, children)


def _listing(tag: str, key: str, item: Callable[[Document], Element]) -> Shape:
    def shape(document: Document) -> Element:
        return _root(tag, [item(each) for each in document[key]])

    return shape


def _single(key: str, item: Callable[[Document], Element]) -> Shape:
    def shape(document: Document) -> Element:
        made = item(document[key])
        made.attrib = ROOT | made.attrib
        return made

    return shape


def _picked(document: Document, **names: str) -> dict[str, Any]:
    """Attributes by the names of their fields, those that are there."""
    return {name: document[key] for name, key in names.items() if key in document}


def _same(document: Document, *names: str) -> dict[str, Any]:
    return {name: document[name] for name in names if name in document}


def _metadata(values: Mapping[str, str]) -> Element:
    return element("metadata", {}, [_meta(key, value) for key, value in values.items()])


def _meta(key: str, value: str) -> Element:
    return element("meta", {"key": key}, text=value)


def _server(document: Document) -> Element:
    if "status" not in document:
        return element("server", _same(document, "id", "name"))
    attributes = {
        **_same(document, "adminPass", "created"),
        "description": "",
        "flavorRef": document["flavor"]["id"],
        **_same(document, "hostId", "id"),
        "imageRef": document["image"]["id"],
        **_same(document, "name", "progress", "status", "updated"),
    }
    networks = [
        element("network", {"id": id}, [element("ip", _same(ip, "version", "addr")) for ip in ips])
        for id, ips in document["addresses"].items()
    ]
    return element(
        "server", attributes, [_metadata(document["metadata"]), element("addresses", {}, networks)]
    )


def _flavor(document: Document) -> Element:
    named = _picked(document, id="id", name="name", ram="ram", cpu="vcpus", disk="disk")
    return element("flavor", named)


def _image(document: Document) -> Element:
    named = _same(document, "id", "name", "updated", "created", "status", "progress")
    return element("image", named, [_metadata(document.get("metadata", {}))])


def _network(document: Document) -> Element:
    subnets = [element("subnet", {"id": id}) for id in document["subnets"]]
    named = _same(document, "id", "name", "updated", "created")
    return element("network", named, [element("subnets", {}, subnets)])


def _port(document: Document) -> Element:
    ips = [
        element(
            "ip",
            {},
            [
                element("ip_address", {"id": each["ip_address"]}),
                element("subnet", {"id": each["subnet"]}),
            ],
        )
        for each in document["fixed_ips"]
    ]
    named = _same(document, "id", "name", "updated", "created", "mac_address")
    return element("port", named, [element("fixed_ips", {}, ips)])


def _version(document: Document) -> Element:
    links = [element("atom:link", _same(each, "rel", "type", "href")) for each in document["links"]]
    types = [
        element("media-type", _same(each, "base", "type"))
        for each in document.get("media_types", [])
    ]
    before = [element("media-types", {}, types)] if types else []
    return element("version", _same(document, "id", "status", "updated"), [*before, *links])


def versions(document: Document) -> Element:
    """All versions of an API."""
    return element("versions", VERSIONS_ROOT, [_version(each) for each in document["versions"]])


def version(document: Document) -> Element:
    """One version of an API."""
    made = _version(document["version"])
    made.attrib = VERSIONS_ROOT | made.attrib
    return made


def metadata(document: Document) -> Element:
    """All metadata of a server."""
    made = _metadata(document["metadata"])
    made.set("xmlns", COMPUTE_NAMESPACE)
    return made


def meta(document: Document) -> Element:
    """One metadata item of a server."""
    ((key, value),) = document["meta"].items()
    made = _meta(key, value)
    made.set("xmlns", COMPUTE_NAMESPACE)
    return made


def acted(document: Document) -> Element:
    """What an action answers with a document: a console."""
    console = document["console"]
    return element("console", ROOT | dict(console))


servers = _listing("servers", "servers", _server)
server = _single("server", _server)
flavors = _listing("flavors", "flavors", _flavor)
flavor = _single("flavor", _flavor)
images = _listing("images", "images", _image)
image = _single("image", _image)
networks = _listing("networks", "networks", _network)
network = _single("network", _network)
ports = _listing("ports", "ports", _port)
port = _single("port", _port)
