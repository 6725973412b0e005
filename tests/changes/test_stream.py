"""The stream of changes as its clients see it."""

from __future__ import annotations

import json

from twisted.internet import reactor
from twisted.internet.task import deferLater

from synnefo_tx.changes.model import position
from synnefo_tx.compute.servers.store import ServerStore
from synnefo_tx.settings import Changes, Settings
from tests.changes.support import StreamTestCase
from tests.support.event_client import follow

SERVERS = "/compute/v2.0/servers"


class StreamTests(StreamTestCase):
    settings = Settings(changes=Changes(streams_per_user_max=3, streams_max=4))

    async def test_head(self) -> None:
        """A stream is never kept or buffered on its way, and begins with hello and its place."""
        response, stream = await follow(self.url, self.user_token)
        self.addCleanup(stream.close)
        header = response.headers.getRawHeaders
        self.assertEqual(header("Content-Type"), ["text/event-stream"])
        self.assertEqual(header("Cache-Control"), ["no-store"])
        self.assertEqual(header("X-Accel-Buffering"), ["no"])
        self.assertIsNone(header("Content-Encoding"))
        hello = await stream.event("hello")
        self.assertIsNotNone(position(hello.id))

    async def test_put_is_what_get_shows(self) -> None:
        """A server's life is told as it goes, each time as GET shows it; its end is a del."""
        stream = await self.follow()
        id = await self.create(metadata={"a": 'é"\n'})
        built = (await stream.event("server", op="put", id=id)).data["doc"]
        self.assertEqual(built["metadata"], {"a": 'é"\n'})
        await self.settle()
        await stream.until(
            lambda s: any(
                e.name == "server" and e.data.get("doc", {}).get("status") == "ACTIVE"
                for e in s.events
            )
        )
        shown = (await self.request("GET", f"{SERVERS}/{id}")).json["server"]
        told = [each.data["doc"] for each in stream.events if each.name == "server"]
        self.assertEqual(told[-1], shown)
        await stream.event("port", op="put")
        quotas = (await self.request("GET", "/account/v1.0/quotas")).json
        quota = [each for each in stream.events if each.name == "quota"][-1]
        self.assertEqual(quota.data["doc"], quotas[quota.data["id"]])
        await self.app.compute.actions.delete(self.user, id)
        await self.settle()
        await stream.event("server", op="del", id=id)
        await stream.event("port", op="del")

    async def test_networks_and_images(self) -> None:
        """Networks and images are told as GET shows them: one's own to oneself, public ones to
        everybody; a del when they are gone."""
        stranger = await self.make_caller("stranger@example.org")
        stream, other = await self.follow(), await self.follow(await self.token(stranger))
        made = await self.app.compute.networks.create_private(
            self.user, "own", "MAC_FILTERED", None
        )
        put = await stream.event("network", op="put", id=str(made.id))
        shown = await self.request("GET", f"/network/v2.0/networks/{made.id}")
        self.assertEqual(put.data["doc"], shown.json["network"])
        await self.app.compute.networks.delete(self.user, made.id)
        await stream.event("network", op="del", id=str(made.id))
        id = await self.app.compute.images.register(None, "New", "system", "file:///x", {})
        for each in (stream, other):
            put = await each.event("image", op="put", id=id)
            shown = await self.request("GET", f"/compute/v2.0/images/{id}")
            self.assertEqual(put.data["doc"], shown.json["image"])
        secret = await self.app.compute.images.register(
            None, "Mine", self.user.user, "file:///y", {}, public=False
        )
        await stream.event("image", op="put", id=secret)
        await self.app.compute.images.register(None, "Last", "system", "file:///z", {})
        await other.until(lambda s: sum(each.name == "image" for each in s.events) == 2)
        self.assertNotIn(str(made.id), [each.data.get("id") for each in other.events])
        self.assertNotIn(secret, [each.data.get("id") for each in other.events])

    async def test_lost_access(self) -> None:
        """Who does not see a thing any more is told that it is gone: a public image made private
        to all but its owner, a project to the member who left."""
        id = await self.app.compute.images.register(None, "Shared", self.user.user, "file:///x", {})
        stranger = await self.make_caller("stranger@example.org")
        stream, other = await self.follow(), await self.follow(await self.token(stranger))
        async with self.database.transaction("private") as tx:
            await tx.run(
                "UPDATE images SET public = false, updated = synnefo_now() WHERE id = %(id)s",
                {"id": id},
            )
            await tx.run(
                "UPDATE project_members SET state = 'removed' WHERE member = %(member)s",
                {"member": stranger.user},
            )
        await stream.event("image", op="put", id=id)
        await other.event("image", op="del", id=id)
        await other.event("quota", op="del", id=stranger.user)

    async def test_resumed(self) -> None:
        """After a cut a stream goes on where it was: nothing is missed, nothing older told."""
        stream = await self.follow()
        first = await self.create()
        await stream.event("server", id=first)
        place = stream.last_id
        stream.close()
        second = await self.create(name="second")
        async with self.database.transaction("rename") as tx:
            await ServerStore(tx).rename(second, "renamed")
        other = await self.follow(last_event_id=place)
        self.assertEqual(other.events[0].id, place)
        told = await other.event("server", op="put", id=second)
        self.assertEqual(told.data["doc"]["name"], "renamed")
        third = await self.create(name="third")
        await other.event("server", id=third)
        numbers = [position(each.id).n for each in other.events]
        self.assertEqual(numbers, sorted(numbers))
        self.assertNotIn("reset", [each.name for each in other.events])
        self.assertNotIn(first, [e.data.get("id") for e in other.events if e.name == "server"])

    async def test_reset(self) -> None:
        """A place that is not kept any more, of another epoch, ahead of the end, or no place at
        all: reset, and then what is new."""
        await self.create()
        stream = await self.follow()
        epoch = position(stream.last_id).epoch
        wrong = ["x", f"{epoch + 1}.0", f"{epoch}.999999999", ""]
        for last in wrong:
            again = await self.follow(last_event_id=last)
            if last:
                await again.event("reset")
            again.close()
            await again.until(lambda s: s.ended is not None)
        async with self.database.transaction("sweep") as tx:
            await tx.run("UPDATE stream_sequence SET swept = last")
        again = await self.follow(last_event_id=f"{epoch}.0")
        await again.event("reset")
        id = await self.create(name="new")
        await again.event("server", id=id)

    async def test_reset_by_operator(self) -> None:
        """After ``stream-reset`` who follows is told to list anew at once, and who comes back with
        a place of before too; what changes then is told as ever."""
        stream = await self.follow()
        place = position(stream.last_id)
        epoch = await self.app.changes.epochs.reset()
        self.assertGreater(epoch, place.epoch)
        reset = await stream.event("reset")
        self.assertEqual(position(reset.id).epoch, epoch)
        again = await self.follow(last_event_id=str(place))
        await again.event("reset")
        id = await self.create(name="new")
        for each in (stream, again):
            told = await each.event("server", id=id)
            self.assertEqual(position(told.id).epoch, epoch)

    async def test_too_many(self) -> None:
        """A user has so many streams at most, and a process."""
        for _ in range(3):
            await self.follow()
        answer = await self.request("GET", "/events/v1")
        self.assertEqual((answer.status, answer.header("Retry-After")), (429, "30"))
        others = [await self.token(await self.make_caller(f"{n}@example.org")) for n in "ab"]
        stream = await self.follow(others[0])
        answer = await self.request("GET", "/events/v1", token=others[1])
        self.assertEqual(answer.status, 503)
        stream.close()
        await stream.until(lambda s: s.ended is not None)
        await self.follow(others[1])

    async def test_revoked(self) -> None:
        """A stream ends with its token, as a whole reply; another token's goes on."""
        stream, other = await self.follow(), await self.follow(await self.token(self.user))
        async with self.database.transaction("revoke") as tx:
            await tx.run(
                "DELETE FROM api_tokens WHERE id = (SELECT min(id) FROM api_tokens"
                " WHERE user_uuid = %(user)s)",
                {"user": self.user.user},
            )
        await stream.until(lambda s: s.ended is not None, 2)
        self.assertIs(stream.ended, True)
        id = await self.create()
        await other.event("server", id=id)

    async def test_drained(self) -> None:
        """A process that stops ends its streams cleanly."""
        stream = await self.follow()
        self.app.site.streams.end_all()
        await stream.until(lambda s: s.ended is not None)
        self.assertIs(stream.ended, True)

    async def test_progress(self) -> None:
        """A build's progress is told twice a second at most, the end of it at once."""
        id = await self.create()
        stream = await self.follow()
        for percent in range(1, 60):
            async with self.database.transaction("progress") as tx:
                await ServerStore(tx).raise_progress({id: percent})
        await stream.until(
            lambda s: any(e.data.get("doc", {}).get("progress") == 59 for e in s.events)
        )
        told = [each for each in stream.events if each.name == "server"]
        self.assertLessEqual(len(told), 6, json.dumps([e.data["doc"]["progress"] for e in told]))
        await self.settle()
        await stream.until(
            lambda s: any(e.data.get("doc", {}).get("status") == "ACTIVE" for e in s.events)
        )


class UnreadTests(StreamTestCase):
    settings = Settings(changes=Changes(unread_max_bytes=20_000))

    async def test_cut_off(self) -> None:
        """A client that does not read is cut off, and others are told all the while."""
        stream, reader = await self.follow(), await self.follow()
        stream.pause()
        for number in range(400):
            async with self.database.transaction("image") as tx:
                await tx.run(
                    "UPDATE images SET name = repeat('x', 200000) || %(n)s, updated ="
                    " synnefo_now()",
                    {"n": number},
                )
            await reader.until(
                lambda s, n=number: any(
                    e.data.get("doc", {}).get("name", "").endswith(f"x{n}") for e in s.events
                )
            )
            if len(self.app.site.streams) == 1:
                break
        self.assertEqual(len(self.app.site.streams), 1)
        self.assertIsNone(reader.ended)


class UnreadAndRevokedTests(StreamTestCase):
    settings = Settings(changes=Changes(unread_max_bytes=50_000_000))

    async def test_revoked(self) -> None:
        """A stream ends with its token also when its client does not read: it keeps no place."""
        stranger = await self.make_caller("stranger@example.org")
        stream, reader = await self.follow(await self.token(stranger)), await self.follow()
        stream.pause()
        for number in range(12):
            async with self.database.transaction("image") as tx:
                await tx.run(
                    "UPDATE images SET name = repeat('x', 1000000) || %(n)s", {"n": number}
                )
            await reader.until(
                lambda s, n=number: any(
                    e.data.get("doc", {}).get("name", "").endswith(f"x{n}") for e in s.events
                )
            )
        self.assertEqual(len(self.app.site.streams), 2)
        async with self.database.transaction("revoke") as tx:
            await tx.run(
                "DELETE FROM api_tokens WHERE user_uuid = %(user)s", {"user": stranger.user}
            )
        deadline = reactor.seconds() + 5
        while len(self.app.site.streams) == 2:
            self.assertLess(reactor.seconds(), deadline)
            await deferLater(reactor, 0.05)
        self.assertIsNone(reader.ended)
