"""Resources as JSON (identity reference §1.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from synnefo_tx.identity.quota.model import Resource


def resources_document(resources: Iterable[Resource]) -> dict[str, Any]:
    """The resources that the API shows, by name."""
    return {
        each.name: {
            "service": each.service,
            "description": each.description,
            "unit": each.unit,
            "ui_visible": each.ui_visible,
            "api_visible": each.api_visible,
        }
        for each in resources
        if each.api_visible
    }
