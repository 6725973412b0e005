"""XML documents of replies: elements from plain values, and their bytes. Nothing here reads XML."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.etree.ElementTree import Element, tostring

from synnefo_tx.faults import Fault

Shape = Callable[[Any], Element]
"""Makes the root element of what an endpoint would send as JSON."""

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
NO_CHARACTER = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
REPLACEMENT = "\ufffd"


def element(
    tag: str,
    attributes: Mapping[str, Any],
    children: Iterable[Element] = (),
    text: str | None = None,
) -> Element:
    """An element; an attribute that is None is left empty."""
    values = {name: "" if value is None else str(value) for name, value in attributes.items()}
    made = Element(tag, values)
    made.text = text
    made.extend(children)
    return made


def written(root: Element) -> bytes:
    """The document as UTF-8; what XML has no character for is replaced."""
    text = tostring(root, encoding="unicode")
    return (HEAD + NO_CHARACTER.sub(REPLACEMENT, text)).encode()


def fault_element(fault: Fault, namespace: str) -> Element:
    """A fault (compute-api reference §1)."""
    parts = [
        element("message", {}, text=fault.message),
        element("details", {}, text=""),
    ]
    return element(fault.name, {"xmlns": namespace, "code": fault.status}, parts)
