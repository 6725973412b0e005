"""Keystone's token documents: v2.0 (identity reference §1.1) and v3."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from synnefo_tx.caller import Caller
from synnefo_tx.faults import BadRequest
from synnefo_tx.identity.access.model import Access
from synnefo_tx.identity.catalog.model import Catalog
from synnefo_tx.identity.catalog.wire import service_catalog, v3_catalog
from synnefo_tx.identity.model import is_uuid
from synnefo_tx.identity.tokens.model import LoggedIn, LoginName, Scope

DOMAIN = {"id": "default", "name": "Default"}


@frozen
class TokenCredentials:
    id: str = field(repr=False)


@frozen
class PasswordCredentials:
    username: str
    password: str = field(repr=False)


@frozen
class Auth:
    token: TokenCredentials | None = None
    passwordCredentials: PasswordCredentials | None = None
    tenantName: str | None = None


@frozen
class AuthRequest:
    """Body of POST /identity/v2.0/tokens."""

    auth: Auth


@frozen
class Domain:
    id: str | None = None
    name: str | None = None


@frozen
class V3User:
    password: str = field(repr=False)
    id: str | None = None
    name: str | None = None
    domain: Domain | None = None


@frozen
class PasswordMethod:
    user: V3User


@frozen
class Methods:
    methods: list[str]
    password: PasswordMethod | None = None
    token: TokenCredentials | None = None


@frozen
class ScopedProject:
    id: str | None = None
    name: str | None = None
    domain: Domain | None = None


@frozen
class ProjectScope:
    project: ScopedProject


@frozen
class V3Auth:
    identity: Methods
    scope: Any = None


@frozen
class V3AuthRequest:
    """Body of POST /identity/v3/auth/tokens."""

    auth: V3Auth


def is_default(domain: Domain | None) -> bool:
    """Whether a domain is the one there is; clients also leave it out."""
    if domain is None or (domain.id is None and domain.name is None):
        return True
    if domain.id is not None:
        return domain.id == DOMAIN["id"]
    return (domain.name or "").lower() == "default"


def login_name(user: V3User) -> LoginName:
    """Who wants to log in; raises BadRequest when that is not said.

    What cannot be the name of anybody is kept as an e-mail that nobody has.
    """
    if user.id is not None:
        return LoginName(uuid=user.id) if is_uuid(user.id) else LoginName(email=f"id:{user.id}")
    if user.name is None:
        raise BadRequest("The user's id or name is missing")
    if not is_default(user.domain):
        return LoginName(email=f"domain:{user.name}")
    return LoginName(email=user.name)


def scope(document: Any, structured: ProjectScope | None) -> Scope:
    """The project that is asked for; raises BadRequest for other scopes."""
    if document is None:
        return Scope()
    if document == "unscoped" or (isinstance(document, dict) and "unscoped" in document):
        return Scope(unscoped=True)
    if structured is None or not is_default(structured.project.domain):
        raise BadRequest("The scope must be a project of the default domain")
    if structured.project.id is None and structured.project.name is None:
        raise BadRequest("The project's id or name is missing")
    if structured.project.id is not None:
        return Scope(project_id=structured.project.id)
    return Scope(project_name=structured.project.name)


def iso(moment: datetime) -> str:
    """A time as the identity API shows it: UTC with ``+00:00``."""
    return moment.astimezone(UTC).isoformat()


def zulu(moment: datetime) -> str:
    """A time as Keystone v3 shows it: microseconds and ``Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def access_document(secret: str, access: Access, catalog: Catalog) -> dict[str, Any]:
    """The ``access`` object of a token."""
    caller = access.caller
    return {
        "access": {
            "token": {
                "id": secret,
                "expires": iso(access.expires),
                "tenant": {"id": caller.default_project, "name": access.default_project_name},
            },
            "user": {
                "id": caller.user,
                "name": access.caller.name or access.username,
                "roles": _roles(caller),
                "roles_links": [],
                "projects": list(caller.projects),
            },
            "serviceCatalog": service_catalog(catalog),
        }
    }


def public_document(catalog: Catalog) -> dict[str, Any]:
    """The ``access`` object for those without a token."""
    return {"access": {"serviceCatalog": service_catalog(catalog)}}


def v3_document(logged_in: LoggedIn, method: str, catalog: Catalog) -> dict[str, Any]:
    """The ``token`` object of v3."""
    access = logged_in.access
    token: dict[str, Any] = {
        "methods": [method],
        "issued_at": zulu(access.created),
        "expires_at": zulu(access.expires),
        "user": {
            "id": access.caller.user,
            "name": access.username,
            "domain": DOMAIN,
            "password_expires_at": None,
        },
        "is_domain": False,
        "roles": [*_roles(access.caller), {"id": "member", "name": "member"}],
    }
    if logged_in.scoped:
        token["project"] = {
            "id": access.caller.default_project,
            "name": access.default_project_name,
            "domain": DOMAIN,
        }
        token["catalog"] = v3_catalog(catalog)
    return {"token": token}


def _roles(caller: Caller) -> list[dict[str, str]]:
    return [{"id": name, "name": name} for name in sorted(caller.roles)]
