"""How an API family writes documents and faults.

The original's compute and identity APIs answer JSON, and XML where they have a shape for it and the
request asks so: by ``?format=``, else by the path's suffix, else by Accept (compute-api reference
§1, identity reference §1.0).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from attrs import frozen
from twisted.web.server import Request

from synnefo_tx.faults import Fault
from synnefo_tx.rest import codec, xml
from synnefo_tx.rest.endpoint import JSON, JSON_REPLY, DialectName, Endpoint

XML = "application/xml"
XML_REPLY = "application/xml; charset=UTF-8"
COMPUTE_NAMESPACE = "http://docs.openstack.org/compute/api/v1.1"
IDENTITY_NAMESPACE = "http://docs.openstack.org/identity/api/v2.0"


@frozen
class Written:
    """A body and its media type."""

    media_type: str
    body: bytes


class Dialect(Protocol):
    """Writes what an endpoint gave, and what it refused, as the request wants it."""

    def document(self, request: Request, endpoint: Endpoint, document: Any) -> Written:
        """A result; bytes are JSON already."""

    def fault(self, request: Request, fault: Fault) -> Written:
        """A fault with a body."""


@frozen
class Cyclades:
    """JSON with one key around each object; XML in a namespace."""

    namespace: str

    def document(self, request: Request, endpoint: Endpoint, document: Any) -> Written:
        """See ``Dialect``."""
        if endpoint.xml is not None and wants_xml(request, endpoint.takes_suffix):
            value = json.loads(document) if isinstance(document, bytes) else document
            return Written(XML_REPLY, xml.written(endpoint.xml(value)))
        body = document if isinstance(document, bytes) else codec.encode(document)
        return Written(JSON_REPLY, body)

    def fault(self, request: Request, fault: Fault) -> Written:
        """See ``Dialect``."""
        if wants_xml(request, True):
            return Written(XML_REPLY, xml.written(xml.fault_element(fault, self.namespace)))
        return Written(JSON_REPLY, codec.encode(fault_document(fault)))


DIALECTS: Mapping[DialectName, Dialect] = {
    "cyclades": Cyclades(COMPUTE_NAMESPACE),
    "astakos": Cyclades(IDENTITY_NAMESPACE),
}


def wants_xml(request: Request, has_suffix: bool) -> bool:
    """Whether the request asks for XML; the first of two media types in Accept counts."""
    format = (request.args or {}).get(b"format", [b""])[0]
    if format in (b"json", b"xml"):
        return bool(format == b"xml")
    if has_suffix and request.path.endswith((b".json", b".xml")):
        return bool(request.path.endswith(b".xml"))
    accepted = request.getHeader("Accept")
    if not accepted or XML not in accepted:
        return False
    for each in accepted.split(","):
        media_type = each.partition(";")[0].strip()
        if media_type in (JSON, XML):
            return bool(media_type == XML)
    return False


def fault_document(fault: Fault) -> dict[str, Any]:
    """The JSON body of a fault (compute-api reference §1)."""
    content: dict[str, Any] = {"code": fault.status, "message": fault.message}
    if fault.data is None:
        content["details"] = ""
    else:
        content["data"] = dict(fault.data)
    return {fault.name: content}
