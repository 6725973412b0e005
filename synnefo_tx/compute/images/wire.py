"""Images as compute's JSON (compute-api reference §2.4)."""

from __future__ import annotations

from typing import Any

from synnefo_tx.compute.images.model import Image
from synnefo_tx.compute.links import isoformat, links

STATUSES = {"AVAILABLE": "ACTIVE", "SAVING": "SAVING", "ERROR": "ERROR", "DELETED": "DELETED"}


def brief(image: Image, base_url: str) -> dict[str, Any]:
    """What ``GET /images`` lists."""
    href = f"{base_url}/images/{image.id}"
    return {"id": image.id, "name": image.name, "links": links(href)}


def detail(image: Image, base_url: str) -> dict[str, Any]:
    """What ``GET /images/detail`` lists."""
    status = STATUSES.get(image.status, "UNKNOWN")
    return brief(image, base_url) | {
        "status": status,
        "progress": 100 if status == "ACTIVE" else 0,
        "updated": isoformat(image.updated),
        "created": isoformat(image.created),
        "user_id": image.owner,
        "tenant_id": image.owner,
        "public": image.public,
        "metadata": dict(image.properties),
        "is_snapshot": False,
    }
