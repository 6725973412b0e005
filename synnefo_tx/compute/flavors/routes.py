"""HTTP of flavors."""

from __future__ import annotations

from typing import Any

from synnefo_tx.compute import xml
from synnefo_tx.compute.flavors import wire
from synnefo_tx.compute.flavors.operations import Flavors
from synnefo_tx.compute.links import parse_id
from synnefo_tx.rest.endpoint import Call, endpoint


class FlavorRoutes:
    """``/compute/v2.0/flavors``."""

    def __init__(self, flavors: Flavors, base_url: str) -> None:
        self._flavors = flavors
        self._base_url = base_url

    @endpoint("GET", "/flavors", action="compute:flavor:list", xml=xml.flavors)
    async def list(self, call: Call[None]) -> dict[str, Any]:
        """List the flavors that servers can be made of."""
        found = await self._flavors.listing()
        return {"flavors": [wire.brief(each, self._base_url) for each in found]}

    @endpoint("GET", "/flavors/detail", action="compute:flavor:list", xml=xml.flavors)
    async def detail(self, call: Call[None]) -> dict[str, Any]:
        """List the flavors with all their fields."""
        found = await self._flavors.listing()
        return {"flavors": [wire.detail(each, self._base_url) for each in found]}

    @endpoint("GET", "/flavors/<flavor_id>", action="compute:flavor:show", xml=xml.flavor)
    async def show(self, call: Call[None], flavor_id: str) -> dict[str, Any]:
        """Show one flavor, also a deleted one."""
        found = await self._flavors.show(parse_id(flavor_id, "flavor"))
        return {"flavor": wire.detail(found, self._base_url)}
