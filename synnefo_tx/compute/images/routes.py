"""HTTP of images, compute's view."""

from __future__ import annotations

from typing import Any

from synnefo_tx.compute import xml
from synnefo_tx.compute.changes import changes_since, listed
from synnefo_tx.compute.images import wire
from synnefo_tx.compute.images.model import ImageSource
from synnefo_tx.rest.endpoint import Call, Reply, endpoint
from synnefo_tx.settings import Compute


class ImageRoutes:
    """``/compute/v2.0/images``."""

    def __init__(self, images: ImageSource, settings: Compute, base_url: str) -> None:
        self._images = images
        self._settings = settings
        self._base_url = base_url

    @endpoint("GET", "/images", action="compute:image:list", xml=xml.images)
    async def list(self, call: Call[None]) -> Reply:
        """List the images that the caller may use."""
        since, horizon = changes_since(call, self._settings), await self._images.horizon()
        found = await self._images.list_visible(call.caller.user, since)
        documents = [wire.brief(each, self._base_url) for each in found]
        return listed("images", documents, since, horizon)

    @endpoint("GET", "/images/detail", action="compute:image:list", xml=xml.images)
    async def detail(self, call: Call[None]) -> Reply:
        """List the images with all their fields."""
        since, horizon = changes_since(call, self._settings), await self._images.horizon()
        found = await self._images.list_visible(call.caller.user, since)
        documents = [wire.detail(each, self._base_url) for each in found]
        return listed("images", documents, since, horizon)

    @endpoint("GET", "/images/<image_id>", action="compute:image:show", xml=xml.image)
    async def show(self, call: Call[None], image_id: str) -> dict[str, Any]:
        """Show one image."""
        found = await self._images.find(image_id, call.caller.user)
        return {"image": wire.detail(found, self._base_url)}
