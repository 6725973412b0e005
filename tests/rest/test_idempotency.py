"""Requests that are repeated with the same Idempotency-Key."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx import application
from synnefo_tx.faults import BadRequest, UnprocessableEntity
from synnefo_tx.rest.kept import (
    KEY_MAX,
    REPLAYED_HEADER,
    Claim,
    KeptReplies,
    Replay,
    RequestKey,
    check_key,
)
from tests.support.cloud import IMAGE, CloudHttpTestCase
from tests.support.database import DatabaseTestCase, open_database
from tests.support.http import Answer, request
from tests.support.keyring import fixed_keyring

REPEATS = 20
SERVERS, NETWORKS = "/compute/v2.0/servers", "/network/v2.0/networks"
DAY_SECONDS = 86400.0
PASSWORD = "Canary-Password-1"


class KeyTests(SynchronousTestCase):
    @given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1))
    def test_printable(self, key: str) -> None:
        """Any printable ASCII up to the limit is a key."""
        if len(key) <= KEY_MAX:
            self.assertEqual(check_key([key]), key)
        else:
            self.assertRaises(BadRequest, check_key, [key])

    def test_refused(self) -> None:
        """Empty, long, twice given, and other characters are refused."""
        for values in ([""], ["x" * (KEY_MAX + 1)], ["a", "a"], ["é"], ["a\tb"], ["a\x7f"]):
            self.assertRaises(BadRequest, check_key, values)


class KeptTests(DatabaseTestCase):
    """The rows, without an endpoint."""

    wanted = RequestKey("user", "/servers", "key")

    async def setUp(self) -> None:
        await super().setUp()
        self.kept = self.keeping(DAY_SECONDS)

    def keeping(self, life_seconds: float) -> KeptReplies:
        return KeptReplies(self.database, fixed_keyring(), reactor, life_seconds)

    async def act(self, body: bytes, reply: Any, key: RequestKey | None = None) -> Any:
        """What a request gets: a reply of its own, one given before, or a fault."""
        once = Claim(self.kept, key or self.wanted, body, 202).once(lambda result: result)
        try:
            async with self.database.transaction("act") as tx:
                await once.claim(tx)
                if isinstance(reply, Exception):
                    raise reply
                await once.keep(tx, reply)
        except Replay as replay:
            return "again", replay.reply.status, replay.reply.body
        return reply

    async def test_waits(self) -> None:
        """A second request waits for the first, and gets its reply if it held."""
        once = Claim(self.kept, self.wanted, b"body", 202).once(lambda result: result)
        async with self.database.transaction("first") as tx:
            await once.claim(tx)
            second = Deferred.fromCoroutine(self.act(b"body", b"second"))
            await deferLater(reactor, 0.05)
            self.assertFalse(second.called)
            await once.keep(tx, b"first")
        self.assertEqual(await second, ("again", 202, b"first"))

    async def test_first_failed(self) -> None:
        """A second request acts if the first was rolled back while it waited."""
        once = Claim(self.kept, self.wanted, b"body", 202).once(lambda result: result)
        try:
            async with self.database.transaction("first") as tx:
                await once.claim(tx)
                second = Deferred.fromCoroutine(self.act(b"body", b"second"))
                await deferLater(reactor, 0.05)
                raise BadRequest("no")
        except BadRequest:
            pass
        self.assertEqual(await second, b"second")
        self.assertEqual(await self.act(b"body", b"third"), ("again", 202, b"second"))

    async def test_time(self) -> None:
        """A key that is past its time is as good as new, and is swept away."""
        await self.act(b"body", b"first")
        await self.kept.sweep()
        self.assertEqual(await self.act(b"body", b"second"), ("again", 202, b"first"))
        self.kept = self.keeping(0.0)
        self.assertEqual(await self.act(b"other", b"second"), b"second")
        await self.kept.sweep()
        self.assertEqual(await self.database.read("SELECT * FROM idempotent_replies"), [])

    async def test_any_order(self) -> None:
        """Whatever comes in whatever order: what was done first under a key is what is told, and
        what failed was never there."""
        step = st.tuples(
            st.sampled_from("ab"), st.sampled_from((b"x", b"y")), st.booleans(), st.binary()
        )
        drawn: list[Any] = []

        @settings(max_examples=15, database=None)
        @given(st.lists(step, max_size=8))
        def draw(steps: Any) -> None:
            drawn.append(steps)

        draw()
        for number, steps in enumerate(drawn):
            known: dict[str, tuple[bytes, bytes]] = {}
            for key, body, fails, reply in steps:
                wanted = RequestKey(f"user {number}", "/", key)
                work = self.act(body, BadRequest("no") if fails else reply, wanted)
                if key in known and known[key][0] != body:
                    await self.assertFailure(Deferred.fromCoroutine(work), UnprocessableEntity)
                elif key in known:
                    self.assertEqual(await work, ("again", 202, known[key][1]))
                elif fails:
                    await self.assertFailure(Deferred.fromCoroutine(work), BadRequest)
                else:
                    self.assertEqual(await work, reply)
                    known[key] = (body, reply)


class RepeatedTests(CloudHttpTestCase):
    """Over HTTP, at two processes."""

    def body(self, path: str, name: str = "one") -> dict[str, Any]:
        """A body for every endpoint where keys count."""
        server = {"name": name, "imageRef": IMAGE, "flavorRef": self.flavor, "adminPass": PASSWORD}
        return {
            SERVERS: {"server": server},
            NETWORKS: {"network": {"type": "MAC_FILTERED", "name": name}},
        }[path]

    async def other(self) -> str:
        """The URL of another process on the same database."""
        database = open_database(self.database_url)
        self.addCleanup(lambda: Deferred.fromCoroutine(database.close()))
        app = application.build(self.settings, database, fixed_keyring(), self.edges())
        port = reactor.listenTCP(0, app.site.site(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        return f"http://127.0.0.1:{port.getHost().port}"

    async def setUp(self) -> None:
        await super().setUp()
        self.paths = [each.path for each in self.app.site.mounted if each.endpoint.idempotent]

    async def post(self, path: str, body: Any, key: str, url: str = "", token: str = "") -> Answer:
        return await request(
            url or self.url, "POST", path, body,
            token=token or self.user_token, headers={"Idempotency-Key": key},
        )  # fmt: skip

    async def test_twenty_at_once(self) -> None:
        """Twenty requests with one key at two processes make one thing, charge once, and get one
        reply, byte for byte; all but one are told that it is given again."""
        urls = [self.url, await self.other()]
        for path in self.paths:
            body = self.body(path)
            asked = [
                Deferred.fromCoroutine(self.post(path, body, "k", urls[n % 2]))
                for n in range(REPEATS)
            ]
            answers = await gatherResults(asked, consumeErrors=True)
            first = answers[0]
            self.assertIn(first.status, (201, 202), first.body)
            self.assertEqual(
                {(each.status, each.body) for each in answers}, {(first.status, first.body)}
            )
            again = [each for each in answers if each.header(REPLAYED_HEADER) == "true"]
            self.assertEqual((path, len(again)), (path, REPEATS - 1))
            listed = (await self.request("GET", path)).json
            (things,) = listed.values()
            self.assertEqual(len([each for each in things if each["name"] == "one"]), 1)
        await self.settle()
        usage = await self.usage()
        self.assertEqual((usage["cyclades.vm"], usage["cyclades.network.private"]), (1, 1))
        await self.assert_exact()

    async def test_later(self) -> None:
        """A repeated request gets the first reply although the thing has changed since."""
        first = await self.post(SERVERS, self.body(SERVERS), "k")
        await self.settle()
        await self.request("DELETE", f"{SERVERS}/{first.json['server']['id']}")
        again = await self.post(SERVERS, self.body(SERVERS), "k", await self.other())
        self.assertEqual((again.status, again.body), (first.status, first.body))
        self.assertEqual(again.header("Content-Type"), first.header("Content-Type"))
        self.assertEqual(again.json["server"]["adminPass"], PASSWORD)
        kept = await self.database.read("SELECT r::text, sealed FROM idempotent_replies r")
        self.assertNotIn(PASSWORD, kept[0][0])
        self.assertNotIn(PASSWORD.encode(), bytes(kept[0][1]))
        await self.settle()

    async def test_other_body(self) -> None:
        """The same key with another body is a 422 and changes nothing."""
        for path in self.paths:
            await self.post(path, self.body(path), "k")
            answer = await self.post(path, self.body(path, "two"), "k")
            self.assertEqual((answer.status, list(answer.json)), (422, ["unprocessableEntity"]))
            self.assertIn("another body", answer.json["unprocessableEntity"]["message"])
            (things,) = (await self.request("GET", path)).json.values()
            self.assertNotIn("two", [each["name"] for each in things])
        await self.settle()

    async def test_others(self) -> None:
        """A key is one user's, and one path's."""
        stranger = await self.make_caller("other@example.org")
        token = await self.token(stranger)
        for path in self.paths:
            for each in (self.user_token, token):
                answer = await self.post(path, self.body(path), "k", token=each)
                self.assertIn(answer.status, (201, 202))
                self.assertIsNone(answer.header(REPLAYED_HEADER))
        await self.settle()

    async def test_refused_first(self) -> None:
        """After a refusal the same key may try again."""
        await self.set_limit(self.user, "cyclades.vm", 0)
        for _ in range(2):
            answer = await self.post(SERVERS, self.body(SERVERS), "k")
            self.assertEqual(answer.status, 413)
        await self.set_limit(self.user, "cyclades.vm", 1)
        answer = await self.post(SERVERS, self.body(SERVERS), "k")
        self.assertEqual((answer.status, answer.header(REPLAYED_HEADER)), (202, None))
        self.assertEqual((await self.post(SERVERS, self.body(SERVERS), "k")).body, answer.body)
        await self.settle()

    async def test_malformed_key(self) -> None:
        """A key that is none is a 400 where keys count, and ignored elsewhere."""
        for path in self.paths:
            for key in ("", "x" * 256, "\u00e9"):
                answer = await self.post(path, self.body(path), key)
                self.assertEqual((path, key, answer.status), (path, key, 400))
        listed = await self.request("GET", SERVERS, headers={"Idempotency-Key": "x" * 256})
        self.assertEqual((listed.status, listed.json), (200, {"servers": []}))
