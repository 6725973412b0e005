"""Lists of servers, as the bytes that clients get.

A page that was made for somebody is kept, with its version, while there is room; who asks again is
sent it as long as one cheap statement says that its version is still that of the database. Nothing
has to be dropped when a server changes, in this process or another.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime

from attrs import evolve, frozen

from synnefo_tx.caller import Caller
from synnefo_tx.changes.model import Seen
from synnefo_tx.compute.changes import nothing_since
from synnefo_tx.compute.servers import documents
from synnefo_tx.db.pool import Database, Row, Transaction
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.settings import Compute


@frozen
class Page:
    """Servers' documents, with commas between; ``version`` is that of the rows they are of, and
    ``horizon`` the moment since when to ask for what is not among them (see ``db.horizon``)."""

    version: bytes | None
    documents: bytes
    horizon: datetime | None = None


class KeptPages:
    """The pages that were asked for last, bounded by their bytes."""

    def __init__(self, bytes_max: int) -> None:
        self.bytes = 0
        self._bytes_max = bytes_max
        self._pages: OrderedDict[str, Page] = OrderedDict()

    def get(self, owner: str) -> Page | None:
        """The page that was kept for an owner, if it still is."""
        page = self._pages.get(owner)
        if page is not None:
            self._pages.move_to_end(owner)
        return page

    def put(self, owner: str, page: Page) -> None:
        """Keep a page in place of the owner's last; the longest unused make room."""
        previous = self._pages.pop(owner, None)
        if previous is not None:
            self.bytes -= len(previous.documents)
        # One page may take a quarter: it must not push out all others.
        if len(page.documents) * 4 > self._bytes_max:
            return
        self._pages[owner] = page
        self.bytes += len(page.documents)
        while self.bytes > self._bytes_max:
            _, oldest = self._pages.popitem(last=False)
            self.bytes -= len(oldest.documents)


class ServerPages:
    """A user's servers as JSON below ``base_url``."""

    def __init__(self, database: Database, settings: Compute, base_url: str) -> None:
        self.kept = KeptPages(settings.kept_pages_max_bytes)
        self._database = database
        self._values = {"base": base_url, "fqdn": settings.servers_fqdn or None}

    async def details(self, caller: Caller) -> Page:
        """The caller's live servers with all their fields."""
        kept = self.kept.get(caller.user)
        if kept is not None:
            rows = await self._database.read(documents.LIVE_VERSION, {"user": caller.user})
            version, horizon = rows[0]
            if _bytes(version) == kept.version:
                return evolve(kept, horizon=horizon)
        page = await self._read(documents.DETAILS, user=caller.user)
        self.kept.put(caller.user, page)
        return page

    async def briefs(self, caller: Caller) -> Page:
        """The caller's live servers: id, name and links."""
        return await self._read(documents.BRIEFS, user=caller.user)

    async def changed(self, caller: Caller, since: datetime, *, brief: bool = False) -> Page:
        """What changed since a moment, deleted servers too; raises NotModified for nothing."""
        values = {"user": caller.user, "since": since}
        is_changed, horizon = (await self._database.read(documents.IS_CHANGED, values))[0]
        if not is_changed:
            raise nothing_since(horizon)
        statement = documents.BRIEFS_CHANGED if brief else documents.DETAILS_CHANGED
        return await self._read(statement, **values)

    async def show(self, caller: Caller, id: int) -> bytes:
        """One server, also a deleted one; raises ItemNotFound."""
        page = await self._read(documents.SHOW, user=caller.user, id=id)
        if page.version is None:
            raise ItemNotFound("Server not found.")
        return page.documents

    async def seen(self, ids: Sequence[int], users: Sequence[str]) -> list[Seen]:
        """Those of some live servers that any of some users sees."""
        values = {**self._values, "ids": list(ids), "users": list(users)}
        rows = await self._database.read(documents.SEEN, values)
        return [Seen(key, document.encode(), viewers) for key, document, viewers in rows]

    async def show_new(self, tx: Transaction, caller: Caller, id: int) -> bytes:
        """A server that a transaction has just made for the caller."""
        values = {**self._values, "user": caller.user, "id": id}
        return _page(await tx.row(documents.SHOW, values)).documents

    async def _read(self, statement: str, **values: object) -> Page:
        rows = await self._database.read(statement, {**self._values, **values})
        return _page(rows[0])


def _page(row: Row | None) -> Page:
    version, found, *horizon = row or (None, None)
    return Page(_bytes(version), (found or "").encode(), *horizon)


def _bytes(value: memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)
