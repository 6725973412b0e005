"""HTTP of tokens and of the identity API's versions (identity reference §1.1, Keystone v3)."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from synnefo_tx.faults import BadRequest, Unauthorized
from synnefo_tx.identity.catalog.model import Catalog
from synnefo_tx.identity.tokens import wire, xml
from synnefo_tx.identity.tokens.logins import Logins
from synnefo_tx.identity.tokens.operations import Tokens
from synnefo_tx.rest.codec import structure
from synnefo_tx.rest.endpoint import Call, Reply, endpoint

V2_UPDATED = "2014-04-17T00:00:00Z"
V3_UPDATED = "2020-04-07T00:00:00Z"
V2_MEDIA_TYPE = "application/vnd.openstack.identity-v2.0+json"


@frozen
class IdentityRoutes:
    """What is below /identity."""

    tokens: Tokens
    logins: Logins
    catalog: Catalog

    def _version(self, id: str, path: str, status: str, updated: str) -> dict[str, Any]:
        href = f"{self.catalog.site_url}/identity/{path}/"
        link = {"rel": "self", "href": href}
        return {"id": id, "status": status, "updated": updated, "links": [link]}

    def _v2(self) -> dict[str, Any]:
        return self._version("v2.0", "v2.0", "CURRENT", V2_UPDATED)

    def _v3(self) -> dict[str, Any]:
        return self._version("v3.14", "v3", "stable", V3_UPDATED)

    @endpoint("GET", "/", action="identity:versions", ways=("none",), dialect="astakos", cheap=True)
    async def list_versions(self, call: Call[None]) -> dict[str, Any]:
        """List the versions of the identity API."""
        return {"versions": {"values": [self._v2(), self._v3()]}}

    @endpoint(
        "GET", "/v2.0", action="identity:versions", ways=("none",), dialect="astakos", cheap=True
    )
    async def show_v2(self, call: Call[None]) -> dict[str, Any]:
        """Show version 2.0 of the identity API."""
        version = self._v2()
        help_page = f"{self.catalog.site_url}/identity/v2.0/"
        version["links"].append({"rel": "describedby", "type": "text/html", "href": help_page})
        version["media_types"] = [{"base": "application/json", "type": V2_MEDIA_TYPE}]
        return {"version": version}

    @endpoint(
        "GET", "/v3", action="identity:versions", ways=("none",), dialect="astakos", cheap=True
    )
    async def show_v3(self, call: Call[None]) -> dict[str, Any]:
        """Show version 3 of the identity API."""
        version = self._v3()
        version["media-types"] = [{"base": "application/json", "type": "application/json"}]
        return {"version": version}

    @endpoint(
        "POST",
        "/v2.0/tokens",
        action="identity:token:create",
        ways=("none",),
        body=wire.AuthRequest,
        empty_body_allowed=True,
        dialect="astakos",
        xml=xml.access,
        cheap=True,
        rate="login",
        journal="",
    )
    async def authenticate(self, call: Call[wire.AuthRequest | None]) -> dict[str, Any]:
        """Show what a token stands for, and the services; without a body only these."""
        if call.body is None:
            return wire.public_document(self.catalog)
        auth = call.body.auth
        if auth.token is not None:
            secret, user = auth.token.id, None
        elif auth.passwordCredentials is not None:
            secret, user = auth.passwordCredentials.password, auth.passwordCredentials.username
        else:
            raise BadRequest("token or passwordCredentials is missing")
        access = await self.tokens.examine(secret)
        if user is not None and user != access.caller.user:
            raise Unauthorized("Invalid username or password")
        if auth.tenantName and auth.tenantName != access.caller.user:
            raise BadRequest("Not conforming tenant name")
        return wire.access_document(secret, access, self.catalog)

    @endpoint(
        "POST",
        "/v3/auth/tokens",
        action="identity:token:create",
        ways=("none",),
        body=wire.V3AuthRequest,
        status=201,
        dialect="astakos",
        rate="login",
    )
    async def create_token(self, call: Call[wire.V3AuthRequest]) -> Reply:
        """Log in with a password or a token, for a new token in X-Subject-Token."""
        identity, asked = call.body.auth.identity, call.body.auth.scope
        project = isinstance(asked, dict) and "project" in asked
        scope = wire.scope(asked, structure(asked, wire.ProjectScope) if project else None)
        if identity.methods == ["password"] and identity.password is not None:
            user = identity.password.user
            logged_in = await self.logins.by_password(
                wire.login_name(user), user.password, call.remote, scope
            )
        elif identity.methods == ["token"] and identity.token is not None:
            logged_in = await self.logins.by_token(identity.token.id, scope)
        else:
            raise BadRequest("identity must hold one method, password or token")
        document = wire.v3_document(logged_in, identity.methods[0], self.catalog)
        return Reply(document, headers={"X-Subject-Token": logged_in.secret})
