"""The catalogue in the forms of Keystone v2.0 (identity reference §1.1) and v3."""

from __future__ import annotations

from typing import Any

from synnefo_tx.identity.catalog.model import Catalog

REGION = "default"


def service_catalog(catalog: Catalog) -> list[dict[str, Any]]:
    """The ``serviceCatalog`` of an ``access`` document."""
    return [
        {
            "name": service.name,
            "type": service.type,
            "endpoints": [
                {
                    "versionId": service.version,
                    "publicURL": catalog.site_url + service.path,
                    "region": REGION,
                    "SNF:uiURL": f"{catalog.site_url}/ui",
                }
            ],
            "endpoints_links": [],
        }
        for service in catalog.services
    ]


def v3_catalog(catalog: Catalog) -> list[dict[str, Any]]:
    """The ``catalog`` of a v3 token."""
    documents = []
    for service in catalog.services:
        path = service.path if service.openstack_path is None else service.openstack_path
        if path:
            endpoints = [
                {
                    "id": f"{service.name}:{interface}",
                    "interface": interface,
                    "region": REGION,
                    "region_id": REGION,
                    "url": catalog.site_url + path,
                }
                for interface in ("public", "internal", "admin")
            ]
            documents.append(
                {
                    "id": service.name,
                    "type": service.type,
                    "name": service.name,
                    "endpoints": endpoints,
                }
            )
    return documents
