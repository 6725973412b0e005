"""Pure decisions about images (compute-api reference §4)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from synnefo_tx.faults import BadRequest

DISK_FORMATS = ("diskdump", "extdump", "ntfsdump")
NAME_MAX = 256
LOCATION_MAX = 1024
PROPERTY_VALUE_MAX = 256
PROPERTIES_MAX = 32
SIZE_MAX_BYTES = 2**62
PROPERTY = re.compile(r"[A-Za-z0-9_]{1,93}")


def check_image(
    name: str, location: str, disk_format: str, size_bytes: int, properties: Mapping[str, str]
) -> None:
    """Raise BadRequest unless an image may be so."""
    for text, what, maximum in (
        (name, "name", NAME_MAX),
        (location, "location", LOCATION_MAX),
    ):
        if not text.strip() or not text.isprintable() or len(text) > maximum:
            raise BadRequest(f"{what} must have 1 to {maximum} printable characters")
    if disk_format not in DISK_FORMATS:
        raise BadRequest(f"disk format must be one of {', '.join(DISK_FORMATS)}")
    if not 0 <= size_bytes <= SIZE_MAX_BYTES:
        raise BadRequest("size is the number of bytes, not below 0")
    if len(properties) > PROPERTIES_MAX:
        raise BadRequest(f"an image has at most {PROPERTIES_MAX} properties")
    for key, value in properties.items():
        if not PROPERTY.fullmatch(key) or len(value) > PROPERTY_VALUE_MAX or "\0" in value:
            raise BadRequest(
                f"property {key!r}: a key has letters, digits and _, a value at most "
                f"{PROPERTY_VALUE_MAX} characters"
            )
