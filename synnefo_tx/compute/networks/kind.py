"""Networks in the stream of changes."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from synnefo_tx.changes.model import Seen
from synnefo_tx.compute.networks import wire
from synnefo_tx.compute.networks.store import seen_networks
from synnefo_tx.db.pool import Database
from synnefo_tx.rest import codec


@frozen
class NetworkKind:
    """Live networks, as ``GET /networks/{id}`` below ``base_url`` shows them."""

    database: Database
    base_url: str
    name = "network"
    has_numbers = False

    async def read(self, keys: Sequence[str], users: Sequence[str]) -> Sequence[Seen]:
        """See ``Kind``."""
        found = await seen_networks(self.database, [int(key) for key in keys], users)
        return [
            Seen(str(each.id), codec.encode(wire.network(each, self.base_url)), viewers)
            for each, viewers in found
        ]
