"""HTTP of quota and resources (identity reference §1.2)."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from synnefo_tx.identity.quota.operations import Quota
from synnefo_tx.identity.quota.resources import Resources
from synnefo_tx.identity.quota.wire import resources_document
from synnefo_tx.rest.endpoint import Call, endpoint


@frozen
class AccountRoutes:
    """What is below /account/v1.0."""

    quota: Quota
    resources: Resources

    @endpoint("GET", "/quotas", action="account:quota:list", dialect="astakos")
    async def list_quotas(self, call: Call[None]) -> dict[str, Any]:
        """List limits and usage of the caller in each of their projects."""
        return await self.quota.listing(call.caller.user)

    @endpoint(
        "GET", "/resources", action="account:resource:list", ways=("none",), dialect="astakos"
    )
    async def list_resources(self, call: Call[None]) -> dict[str, Any]:
        """List the resources that are counted."""
        return resources_document(await self.resources.list_all())
