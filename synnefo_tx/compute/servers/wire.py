"""Requests for servers, and the envelopes of their JSON (compute-api reference §2.1, §2.2)."""

from __future__ import annotations

import json
from typing import Any

from attrs import field, frozen

from synnefo_tx.compute.links import isoformat
from synnefo_tx.compute.servers import rules
from synnefo_tx.compute.servers.model import ServerDraft
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


def listing(documents: bytes) -> bytes:
    """What ``GET /servers`` answers."""
    return b'{"servers": [' + documents + b"]}"


def one(document: bytes) -> bytes:
    """What ``GET /servers/{id}`` answers."""
    return b'{"server": ' + document + b"}"


def created(document: bytes, admin_password: str) -> bytes:
    """What ``POST /servers`` answers: the password is shown here and nowhere else."""
    password = json.dumps(admin_password).encode()
    return one(document[:-1] + b', "adminPass": ' + password + b"}")


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
