"""What a token stands for, as XML (identity reference §1.1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.etree.ElementTree import Element

from synnefo_tx.rest.dialect import IDENTITY_NAMESPACE
from synnefo_tx.rest.xml import element

ROOT = {
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xmlns": IDENTITY_NAMESPACE,
}


def access(document: Mapping[str, Any]) -> Element:
    """The ``access`` object, with or without a token."""
    content = document["access"]
    parts: list[Element] = []
    if "token" in content:
        token, user = content["token"], content["user"]
        parts.append(
            element(
                "token",
                {"id": token["id"], "expires": token["expires"]},
                [element("tenant", token["tenant"])],
            )
        )
        roles = element("roles", {}, [element("role", each) for each in user["roles"]])
        parts.append(element("user", {"id": user["id"], "name": user["name"]}, [roles]))
    services = [_service(each) for each in content["serviceCatalog"]]
    return element("access", ROOT, [*parts, element("serviceCatalog", {}, services)])


def _service(document: Mapping[str, Any]) -> Element:
    endpoints = [
        # A colon in an attribute would name a namespace that is not declared.
        element("endpoint", {name.replace(":", "_"): value for name, value in each.items()})
        for each in document["endpoints"]
    ]
    return element("service", {"type": document["type"], "name": document["name"]}, endpoints)
