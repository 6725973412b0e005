"""Servers as JSON, and requests for them (compute-api reference §2.1, §2.2)."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from synnefo_tx.compute.links import isoformat, links
from synnefo_tx.compute.servers import rules
from synnefo_tx.compute.servers.lifecycle import TASK_STATES, api_status
from synnefo_tx.compute.servers.model import NicView, ServerDraft, ServerView
from synnefo_tx.db.pool import Row
from synnefo_tx.settings import Compute


@frozen
class ServerRequest:
    """The object ``server`` of a create."""

    name: str
    imageRef: Any
    flavorRef: Any
    metadata: dict[str, Any] = field(factory=dict)
    networks: Any = None
    personality: Any = field(factory=list, repr=False)
    project: str | None = None
    adminPass: str | None = field(default=None, repr=False)


@frozen
class CreateServer:
    """Body of ``POST /servers``."""

    server: ServerRequest


@frozen
class NameRequest:
    """The object ``server`` of a rename."""

    name: str


@frozen
class RenameServer:
    """Body of ``PUT /servers/{id}``."""

    server: NameRequest


@frozen
class PutMetadata:
    """Body of ``POST /servers/{id}/metadata``."""

    metadata: dict[str, Any]


@frozen
class PutMetadataItem:
    """Body of ``PUT /servers/{id}/metadata/{key}``."""

    meta: dict[str, Any]


def draft(body: CreateServer, settings: Compute) -> ServerDraft:
    """The checked request; raises BadRequest or RequestEntityTooLarge naming the field."""
    server = body.server
    return ServerDraft(
        name=rules.check_server_name(server.name),
        image=rules.reference(server.imageRef, "server.imageRef"),
        flavor=rules.integer_reference(server.flavorRef, "server.flavorRef"),
        project=server.project,
        metadata=rules.check_metadata(server.metadata, settings),
        networks=rules.check_networks(server.networks, settings),
        personality=rules.check_personality(server.personality, settings),
        admin_password=rules.check_password(server.adminPass),
    )


class ServerWire:
    """Renders servers below one URL."""

    def __init__(self, base_url: str, settings: Compute) -> None:
        self._base_url = base_url
        self._fqdn = settings.servers_fqdn

    def brief(self, view: ServerView) -> dict[str, Any]:
        """What ``GET /servers`` lists."""
        id = view.server.id
        href = f"{self._base_url}/servers/{id}"
        return {"id": id, "name": view.server.name, "links": links(href)}

    def detail(self, view: ServerView) -> dict[str, Any]:
        """What ``GET /servers/detail`` lists."""
        server = view.server
        status = api_status(server)
        flavor_href = f"{self._base_url}/flavors/{server.flavor}"
        image_href = f"{self._base_url}/images/{server.image}"
        active = [nic for nic in view.nics if nic.state == "ACTIVE"]
        return self.brief(view) | {
            "user_id": server.userid,
            "tenant_id": server.project,
            "shared_to_project": False,
            "status": status,
            "SNF:task_state": TASK_STATES[server.task],
            "progress": 100 if status == "ACTIVE" else server.progress,
            "hostId": "",
            "updated": isoformat(server.updated),
            "created": isoformat(server.created),
            "flavor": {"id": server.flavor, "links": links(flavor_href)},
            "image": {"id": server.image, "links": links(image_href)},
            "suspended": server.suspended,
            "metadata": dict(view.metadata),
            "tags": [],
            "attachments": [_attachment(nic) for nic in active],
            "addresses": _addresses(active),
            "volumes": list(view.volumes),
            "diagnostics": [dict(view.diagnostic)] if view.diagnostic else [],
            "security_groups": [{"name": "default"}],
            "key_name": None,
            "SNF:key_names": [],
            "config_drive": "",
            "accessIPv4": "",
            "accessIPv6": "",
            "SNF:fqdn": self._fqdn % {"id": server.id} if self._fqdn else None,
            "SNF:port_forwarding": {},
            "deleted": server.deleted,
            "SNF:rescue": False,
        }


def _attachment(nic: NicView) -> dict[str, Any]:
    return {
        "id": nic.id,
        "network_id": str(nic.network),
        "mac_address": nic.mac,
        "ipv4": nic.address or "",
        "ipv6": "",
        "OS-EXT-IPS:type": "fixed",
    }


def _addresses(nics: list[NicView]) -> dict[str, list[dict[str, Any]]]:
    addresses: dict[str, list[dict[str, Any]]] = {}
    for nic in nics:
        if nic.address:
            entry = {"version": 4, "addr": nic.address, "OS-EXT-IPS:type": "fixed"}
            addresses.setdefault(str(nic.network), []).append(entry)
    return addresses


def diagnostic(row: Row) -> dict[str, Any]:
    """One diagnostic of a server."""
    level, source, message, details, created = row
    return {
        "level": level,
        "source": source,
        "message": message,
        "details": details,
        "created": isoformat(created),
    }
