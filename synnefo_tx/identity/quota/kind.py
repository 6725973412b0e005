"""Quota in the stream of changes."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from synnefo_tx.changes.model import Seen
from synnefo_tx.identity.quota.operations import Quota
from synnefo_tx.rest import codec


@frozen
class QuotaKind:
    """Limits and usage in one project, by its uuid, as ``GET /quotas`` shows a member of it."""

    quota: Quota
    name = "quota"
    has_numbers = False

    async def read(self, keys: Sequence[str], users: Sequence[str]) -> Sequence[Seen]:
        """See ``Kind``."""
        found = await self.quota.seen(keys, users)
        return [
            Seen(project, codec.encode(document), (user,))
            for (project, user), document in found.items()
        ]
