"""/ui/session over HTTP, and the API by cookie."""

from __future__ import annotations

import os
from urllib.parse import urlencode

from twisted.internet import reactor

from synnefo_tx.settings import Http, Settings
from tests.support.application import build
from tests.support.database import DatabaseTestCase
from tests.support.http import Answer, request

EMAIL, PASSWORD = "alice@example.org", "correct horse"
ORIGIN = "https://cloud.example.org"
QUOTAS = "/account/v1.0/quotas"
ANONYMOUS_REQUESTS = int(os.environ.get("ANONYMOUS_REQUESTS", "50"))
FORM = "application/x-www-form-urlencoded"
UI = {"X-Synnefo-UI": "1"}


class SessionHttpTests(DatabaseTestCase):
    settings = Settings(http=Http(base_url=ORIGIN))

    async def setUp(self) -> None:
        await super().setUp()
        self.app = build(self.database, self.settings)
        port = reactor.listenTCP(0, self.app.site.site(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.url = f"http://127.0.0.1:{port.getHost().port}"
        users = self.app.identity.users
        created = await users.add(EMAIL, "Alice", "A", password=PASSWORD, accepted=True)
        self.user = created.uuid

    async def ask(self, method: str, path: str, body=None, cookie: str | None = None, **more):
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        if cookie is not None:
            headers["Cookie"] = f"__Host-synnefo={cookie}"
        return await request(self.url, method, path, body, headers=headers)

    async def sign_in(self, cookie: str | None = None, **headers: str) -> str:
        """The value of a new session's cookie."""
        body = {"email": EMAIL, "password": PASSWORD}
        answer = await self.ask("POST", "/ui/session", body, cookie, **headers)
        self.assertEqual(answer.status, 201, answer.body)
        return self.value(answer)

    def value(self, answer: Answer) -> str:
        first, *attributes = answer.header("Set-Cookie").split("; ")
        name, _, value = first.partition("=")
        self.assertEqual(name, "__Host-synnefo")
        self.assertEqual(attributes, ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"])
        return value

    async def statuses(self, *headers: dict[str, str], cookie: str) -> list[int]:
        return [(await self.ask("GET", QUOTAS, cookie=cookie, **each)).status for each in headers]

    async def rows(self) -> int:
        return (await self.database.read("SELECT count(*) FROM sessions"))[0][0]

    async def test_life(self) -> None:
        """Sign in, use the API, see one's browsers, sign out: the browser forgets everything."""
        answer = await self.ask(
            "POST", "/ui/session", {"email": EMAIL, "password": PASSWORD}, User_Agent="Test/1 \x07"
        )
        value = self.value(answer)
        self.assertEqual(answer.json["user"]["id"], self.user)
        self.assertFalse(answer.json["user"]["staff"])
        self.assertNotIn(value, answer.body.decode())
        self.assertIn("no-store", answer.header("Cache-Control"))
        self.assertEqual((await self.ask("GET", QUOTAS, cookie=value)).status, 200)
        listed = (await self.ask("GET", "/ui/session", cookie=value)).json["sessions"]
        self.assertEqual(len(listed), 1)
        self.assertEqual(listed[0]["id"], answer.json["session"]["id"])
        self.assertEqual((listed[0]["browser"], listed[0]["current"]), ("Test/1 ", True))
        out = await self.ask("DELETE", "/ui/session", cookie=value, **UI)
        self.assertEqual(out.status, 204)
        self.assertEqual(out.header("Clear-Site-Data"), '"cache", "storage"')
        self.assertIn("Max-Age=0", out.header("Set-Cookie"))
        self.assertEqual((await self.ask("GET", QUOTAS, cookie=value)).status, 401)
        self.assertEqual(await self.rows(), 0)

    async def test_form(self) -> None:
        """A form without scripts signs in too, from our own page only."""
        form = urlencode({"email": EMAIL, "password": PASSWORD}).encode()
        for origin, status in ((ORIGIN, 201), ("https://evil.example", 403), ("null", 403)):
            answer = await self.ask("POST", "/ui/session", form, Content_Type=FORM, Origin=origin)
            self.assertEqual(answer.status, status)
        answer = await self.ask(
            "POST", "/ui/session", form, Content_Type=FORM, Sec_Fetch_Site="cross-site"
        )
        self.assertEqual(answer.status, 403)
        self.assertEqual(await self.rows(), 1)

    async def test_one_of_several(self) -> None:
        """Another browser of one's own is signed out by its number, a stranger's is not there."""
        here, there = await self.sign_in(), await self.sign_in()
        listed = (await self.ask("GET", "/ui/session", cookie=here)).json["sessions"]
        (other,) = [each["id"] for each in listed if not each["current"]]
        users = self.app.identity.users
        await users.add("eve@example.org", "E", "E", password=PASSWORD, accepted=True)
        eve = await self.ask(
            "POST", "/ui/session", {"email": "eve@example.org", "password": PASSWORD}
        )
        for id in (other, 10**17, "x", "1" * 30):
            answer = await self.ask("DELETE", f"/ui/session/{id}", cookie=self.value(eve), **UI)
            self.assertEqual(answer.status, 404)
        ended = await self.ask("DELETE", f"/ui/session/{other}", cookie=here, **UI)
        self.assertEqual((ended.status, ended.header("Clear-Site-Data")), (204, None))
        self.assertEqual(await self.statuses({}, cookie=here), [200])
        self.assertEqual(await self.statuses({}, cookie=there), [401])

    async def test_forgery(self) -> None:
        """Another site's page neither reads nor changes anything with a visitor's cookie."""
        value = await self.sign_in()
        self.assertEqual(
            await self.statuses(
                {"Sec_Fetch_Site": "same-origin"},
                {"Sec_Fetch_Site": "cross-site"},
                {"Sec_Fetch_Site": "same-site"},
                {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"} | UI,
                cookie=value,
            ),
            [200, 401, 401, 401],
        )
        networks = {"network": {"type": "MAC_FILTERED", "name": "n"}}
        for headers, status in (
            ({}, 401),
            ({"Origin": ORIGIN}, 401),
            (UI | {"Origin": "https://evil.example"}, 401),
            (UI | {"Origin": "null"}, 401),
            ({"X-Synnefo-UI": "0"}, 401),
            (UI | {"Origin": ORIGIN}, 400),
            (UI, 400),
        ):
            answer = await self.ask("POST", "/network/v2.0/networks", [networks], value, **headers)
            self.assertEqual((headers, answer.status), (headers, status))

    async def test_no_preflight(self) -> None:
        """No answer allows another site's page to send the interface's header."""
        for mounted in self.app.site.mounted[:8]:
            path = mounted.path.replace("<", "").replace(">", "")
            answer = await self.ask(
                "OPTIONS", path, Origin="https://evil.example",
                Access_Control_Request_Method="POST",
                Access_Control_Request_Headers="x-synnefo-ui",
            )  # fmt: skip
            allowed = answer.header("Access-Control-Allow-Headers") or ""
            self.assertNotIn("synnefo-ui", allowed.lower())
            self.assertNotEqual(allowed, "*")
            self.assertIsNone(answer.header("Access-Control-Allow-Credentials"))

    async def test_token_wins(self) -> None:
        """With a cookie and a token the token counts, a bad one too, and it needs no header."""
        value = await self.sign_in()
        async with self.database.transaction("token") as tx:
            token = (await self.app.identity.tokens.issue(tx, self.user, "t")).secret
        listed = await self.ask("GET", "/ui/session", cookie=value, X_Auth_Token=token)
        self.assertEqual([each["current"] for each in listed.json["sessions"]], [False])
        bad = await self.ask("GET", "/ui/session", cookie=value, X_Auth_Token="bad", **UI)
        self.assertEqual(bad.status, 401)
        posted = await self.ask(
            "POST", "/network/v2.0/networks", [], cookie=value, X_Auth_Token=token
        )
        self.assertEqual(posted.status, 400)

    async def test_no_text(self) -> None:
        """A header whose bytes are no text is no good credential, and breaks nothing."""
        value = await self.sign_in()
        for path in (QUOTAS, "/compute/v2.0/servers/1"):
            for name in ("X_Auth_Token", "Cookie"):
                answer = await self.ask("GET", path, **{name: b"__Host-synnefo=\xff"})
                self.assertEqual((name, answer.status), (name, 401))
        for name in ("X_Forwarded_For", "User_Agent", "Accept", "Last_Event_ID"):
            answer = await self.ask("GET", QUOTAS, cookie=value, **{name: b"\xff\xfe"})
            self.assertEqual((name, answer.status), (name, 200))
        for name, status in (("Origin", 401), ("Idempotency_Key", 400), ("Content_Type", 400)):
            body = {"server": {}}
            answer = await self.ask(
                "POST", "/compute/v2.0/servers", body, value, **UI, **{name: b"\xff\xfe"}
            )
            self.assertEqual((name, answer.status), (name, status))

    async def test_new_value(self) -> None:
        """A second sign-in ends the browser's session before; a planted value is never taken."""
        first = await self.sign_in()
        second = await self.sign_in(cookie=first)
        self.assertEqual(await self.statuses({}, cookie=first), [401])
        self.assertEqual(await self.statuses({}, cookie=second), [200])
        planted = "p" * 43
        self.assertNotEqual(await self.sign_in(cookie=planted), planted)
        self.assertEqual(await self.statuses({}, cookie=planted), [401])

    async def test_anonymous(self) -> None:
        """Who does not sign in leaves nothing behind, however often (SEC24)."""
        for number in range(ANONYMOUS_REQUESTS):
            answer = await self.ask("GET", "/ui/session", cookie=f"{number:043}")
            self.assertEqual(answer.status, 401)
            self.assertIsNone(answer.header("Set-Cookie"))
        wrong = await self.ask("POST", "/ui/session", {"email": "x@y.org", "password": "wrong"})
        unknown = await self.ask("POST", "/ui/session", {"email": EMAIL, "password": "wrong"})
        self.assertEqual((wrong.status, wrong.json), (401, unknown.json))
        self.assertIsNone(wrong.header("Set-Cookie"))
        self.assertEqual(await self.rows(), 0)
        health = await self.ask("GET", "/health", cookie="stale")
        self.assertNotEqual(health.status, 401)
