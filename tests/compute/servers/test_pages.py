"""Lists of servers as clients get them, and the pages that are kept."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.compute.servers import documents
from synnefo_tx.compute.servers.pages import KeptPages, Page
from synnefo_tx.compute.servers.progress import ServerProgress
from synnefo_tx.ganeti.messages import ImageReport
from tests.support.cloud import CloudTestCase


class KeptPagesTests(SynchronousTestCase):
    def test_bound(self) -> None:
        """Pages are kept up to a number of bytes; those longest unused make room."""
        kept = KeptPages(100)
        for owner in ("a", "b", "c", "d"):
            kept.put(owner, Page(b"1", bytes(25)))
        kept.get("a")
        kept.put("e", Page(b"1", bytes(20)))
        self.assertEqual([kept.get(owner) is None for owner in "abcde"], [0, 1, 0, 0, 0])
        self.assertEqual(kept.bytes, 95)

    def test_replaced(self) -> None:
        """A newer page takes the place of its owner's last, and a huge one is not kept."""
        kept = KeptPages(100)
        kept.put("a", Page(b"1", bytes(25)))
        kept.put("a", Page(b"2", bytes(10)))
        self.assertEqual((kept.bytes, kept.get("a")), (10, Page(b"2", bytes(10))))
        kept.put("a", Page(b"3", bytes(26)))
        self.assertEqual((kept.bytes, kept.get("a")), (0, None))


class ServerPagesTests(CloudTestCase):
    async def listed(self) -> list[dict]:
        return json.loads(b"[" + (await self.app.compute.pages.details(self.user)).documents + b"]")

    async def test_follows_every_change(self) -> None:
        """After whatever a user, a cluster or an operator does, the list shows it at once."""
        self.assertEqual(await self.listed(), [])
        id = await self.create(metadata={"a": "1"})
        self.assertEqual((await self.listed())[0]["status"], "BUILD")
        await self.settle()
        self.assertEqual((await self.listed())[0]["status"], "ACTIVE")
        await self.app.compute.servers.rename(self.user, id, 'é"\\ %s')
        self.assertEqual((await self.listed())[0]["name"], 'é"\\ %s')
        await self.app.compute.servers.put_metadata(self.user, id, {"b": "2"})
        self.assertEqual((await self.listed())[0]["metadata"], {"a": "1", "b": "2"})
        await self.app.compute.servers.delete_metadata(self.user, id, "a")
        self.assertEqual((await self.listed())[0]["metadata"], {"b": "2"})
        await self.app.compute.actions.shutdown(self.user, id)
        self.assertEqual((await self.listed())[0]["SNF:task_state"], "STOPPING")
        await self.settle()
        self.assertEqual((await self.listed())[0]["status"], "STOPPED")
        await self.app.compute.actions.delete(self.user, id)
        await self.settle()
        self.assertEqual(await self.listed(), [])

    async def test_reports(self) -> None:
        """What the image installer tells is shown at once, though the server is the same."""
        id = await self.built()
        self.assertEqual((await self.listed())[0]["diagnostics"], [])
        report = ImageReport(f"snf-{id}", "image-info", "DEBUG", "copied", "", datetime.now(UTC))
        await ServerProgress(self.database, "snf-").apply([report])
        self.assertEqual((await self.listed())[0]["diagnostics"][0]["message"], "copied")

    async def test_kept(self) -> None:
        """While nothing changes the page itself is read once; somebody else's is another."""
        await self.built()
        seen: list[str] = []
        read = self.database.read

        async def watched(sql, parameters=None):
            seen.append(sql)
            return await read(sql, parameters)

        self.database.read = watched
        first = await self.listed()
        for _ in range(3):
            self.assertEqual(await self.listed(), first)
        self.assertEqual(seen.count(documents.DETAILS), 1)
        stranger = await self.make_caller("stranger@example.org")
        page = await self.app.compute.pages.details(stranger)
        self.assertEqual(page.documents, b"")

    async def test_show_and_list_agree(self) -> None:
        """A server's own document is what the list has of it."""
        id = await self.built(metadata={"k": "v"})
        shown = json.loads(await self.app.compute.pages.show(self.user, id))
        self.assertEqual(await self.listed(), [shown])
        brief = json.loads(b"[" + (await self.app.compute.pages.briefs(self.user)).documents + b"]")
        self.assertEqual(brief, [{key: shown[key] for key in ("id", "name", "links")}])
