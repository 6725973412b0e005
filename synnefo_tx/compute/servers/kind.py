"""Servers in the stream of changes."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from synnefo_tx.changes.model import Seen
from synnefo_tx.compute.servers.pages import ServerPages


@frozen
class ServerKind:
    """Live servers, as ``GET /servers/{id}`` shows them."""

    pages: ServerPages
    name = "server"
    has_numbers = True

    async def read(self, keys: Sequence[str], users: Sequence[str]) -> Sequence[Seen]:
        """See ``Kind``."""
        return await self.pages.seen([int(key) for key in keys], users)
