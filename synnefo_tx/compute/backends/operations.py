"""Use cases about clusters that need to know what is on them."""

from __future__ import annotations

from synnefo_tx.compute.backends.model import BackendUse
from synnefo_tx.compute.backends.store import public_addresses
from synnefo_tx.compute.servers.store import count_by_backend
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.backends.operations import Backends


class BackendUses:
    """What is taken of the clusters."""

    def __init__(self, database: Database, backends: Backends) -> None:
        self._database = database
        self._backends = backends

    async def listing(self) -> list[BackendUse]:
        """Every backend with what is taken of it, by id."""
        servers = await count_by_backend(self._database)
        addresses = await public_addresses(self._database)
        return [
            BackendUse(each, servers.get(each.id, 0), *addresses.get(each.id, (0, 0)))
            for each in await self._backends.list()
        ]
