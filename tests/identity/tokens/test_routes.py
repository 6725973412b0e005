"""The identity API over HTTP: versions, tokens of v2.0 and v3."""

from __future__ import annotations

from dataclasses import replace

from attrs import evolve

from synnefo_tx.identity.catalog.model import Catalog
from synnefo_tx.identity.tokens.model import LoginName, Scope
from synnefo_tx.identity.tokens.routes import IdentityRoutes
from synnefo_tx.identity.users.model import UserChanges
from synnefo_tx.settings import Identity
from tests.support.accounts import accounts
from tests.support.http import HttpTestCase, connect
from tests.support.identity import make_project

SITE = "https://cloud.example.org"
PASSWORD = "correct horse battery"
TOKENS, V3 = "/identity/v2.0/tokens", "/identity/v3/auth/tokens"


class IdentityTestCase(HttpTestCase):
    settings = Identity(login_failures_max=3, address_failures_max=6)

    async def setUp(self) -> None:
        await super().setUp()
        self.identity = accounts(self.database, self.settings)
        self.authenticate = self.identity.tokens.authenticate
        self.serve(
            "/identity",
            IdentityRoutes(self.identity.tokens, self.identity.logins, Catalog(SITE)),
        )
        self.user = await self.add("Alice@Example.org")
        async with self.database.transaction("issue") as tx:
            self.token = await self.identity.tokens.issue(tx, self.user, "laptop")

    async def add(self, email: str) -> str:
        users = self.identity.users
        return (await users.add(email, "Al", "Ice", password=PASSWORD, accepted=True)).uuid

    async def disable(self) -> None:
        await self.identity.users.modify(self.user, UserChanges(state="deactivate"))

    def v3(self, password: str = PASSWORD, scope=None, **user: object) -> dict:
        user = user or {"name": "alice@example.org", "domain": {"id": "default"}}
        auth = {
            "identity": {
                "methods": ["password"],
                "password": {"user": {**user, "password": password}},
            }
        }
        return {"auth": auth | ({"scope": scope} if scope is not None else {})}

    def v3_token(self, token: str, scope=None) -> dict:
        auth = {"identity": {"methods": ["token"], "token": {"id": token}}}
        return {"auth": auth | ({"scope": scope} if scope is not None else {})}


class VersionTests(IdentityTestCase):
    async def test_versions(self) -> None:
        """Clients find both versions, and where they are, without a token."""
        answer = await self.request("GET", "/identity/")
        self.assertEqual(answer.status, 200)
        values = answer.json["versions"]["values"]
        self.assertEqual([each["id"] for each in values], ["v2.0", "v3.14"])
        self.assertEqual(values[0]["links"][0]["href"], f"{SITE}/identity/v2.0/")
        self.assertEqual(values[0]["updated"], "2014-04-17T00:00:00Z")
        version = (await self.request("GET", "/identity/v2.0")).json["version"]
        self.assertEqual(version["media_types"][0]["base"], "application/json")
        self.assertEqual([link["rel"] for link in version["links"]], ["self", "describedby"])
        self.assertEqual(
            (await self.request("GET", "/identity/v3/")).json["version"]["id"], "v3.14"
        )

    async def test_unknown_path(self) -> None:
        """An unknown path below the component is a 400, a wrong method a 405 with Allow."""
        self.assertEqual((await self.request("GET", "/identity/v2.0/x")).status, 400)
        answer = await self.request("GET", TOKENS)
        self.assertEqual((answer.status, answer.header("Allow")), (405, "POST"))


class V2Tests(IdentityTestCase):
    async def test_catalog(self) -> None:
        """An empty body gives the catalogue and nothing else."""
        answer = await self.request("POST", TOKENS)
        self.assertEqual(answer.status, 200)
        self.assertEqual(list(answer.json["access"]), ["serviceCatalog"])
        compute = answer.json["access"]["serviceCatalog"][2]
        self.assertEqual(
            compute,
            {
                "name": "cyclades_compute",
                "type": "compute",
                "endpoints_links": [],
                "endpoints": [
                    {
                        "versionId": "v2.0",
                        "publicURL": f"{SITE}/compute/v2.0",
                        "region": "default",
                        "SNF:uiURL": f"{SITE}/ui",
                    }
                ],
            },
        )

    async def test_token(self) -> None:
        """A token is echoed with its user, project, roles and the catalogue."""
        answer = await self.request("POST", TOKENS, {"auth": {"token": {"id": self.token.secret}}})
        self.assertEqual(answer.status, 200)
        access = answer.json["access"]
        self.assertEqual(
            access["token"],
            {
                "id": self.token.secret,
                "expires": self.token.expires.isoformat(),
                "tenant": {"id": self.user, "name": f"system:{self.user}"},
            },
        )
        self.assertTrue(access["token"]["expires"].endswith("+00:00"))
        self.assertEqual(
            access["user"],
            {
                "id": self.user,
                "name": "Al Ice",
                "roles": [],
                "roles_links": [],
                "projects": [self.user],
            },
        )
        self.assertTrue(access["serviceCatalog"])

    async def test_uuid_and_token(self) -> None:
        """The uuid with the token as password does the same; with another's token it is a 401."""

        def body(user: str) -> dict:
            credentials = {"username": user, "password": self.token.secret}
            return {"auth": {"passwordCredentials": credentials, "tenantName": ""}}

        answer = await self.request("POST", TOKENS, body(self.user))
        self.assertEqual(answer.json["access"]["token"]["id"], self.token.secret)
        other = await self.add("bob@example.org")
        self.assertEqual((await self.request("POST", TOKENS, body(other))).status, 401)

    async def test_tenant(self) -> None:
        """A tenant that is not the user's own is a 400."""
        auth = {"token": {"id": self.token.secret}, "tenantName": "other"}
        self.assertEqual((await self.request("POST", TOKENS, {"auth": auth})).status, 400)
        auth["tenantName"] = self.user
        self.assertEqual((await self.request("POST", TOKENS, {"auth": auth})).status, 200)

    async def test_malformed(self) -> None:
        """Missing keys, wrong types, other media and no JSON are a 400."""
        for body in (
            {},
            {"auth": {}},
            {"auth": {"token": None}},
            {"auth": {"token": {"id": 7}}},
            {"auth": {"passwordCredentials": {"username": self.user}}},
            {"auth": {"passwordCredentials": {"password": "x"}}},
            "auth",
            b"{nonsense",
        ):
            headers = {"Content-Type": "application/json"}
            answer = await self.request("POST", TOKENS, body, headers=headers)
            self.assertEqual((answer.status, list(answer.json)), (400, ["badRequest"]), body)
        answer = await self.request(
            "POST", TOKENS, b"<auth/>", headers={"Content-Type": "text/xml"}
        )
        self.assertEqual(answer.status, 400)

    async def test_refused(self) -> None:
        """An unknown token and a disabled user are a 401."""
        for secret in ("x" * 43, self.token.secret):
            answer = await self.request("POST", TOKENS, {"auth": {"token": {"id": secret}}})
            self.assertEqual(answer.status, 401)
            await self.disable()


class V3Tests(IdentityTestCase):
    async def test_password(self) -> None:
        """E-mail in any case and password give a new token each time, with the catalogue."""
        answer = await self.request("POST", V3, self.v3(name="ALICE@example.org"))
        self.assertEqual(answer.status, 201)
        secret = answer.header("X-Subject-Token")
        token = answer.json["token"]
        self.assertEqual(token["methods"], ["password"])
        domain = {"id": "default", "name": "Default"}
        self.assertEqual(
            token["project"], {"id": self.user, "name": f"system:{self.user}", "domain": domain}
        )
        self.assertEqual(
            (token["user"]["id"], token["user"]["name"]), (self.user, "alice@example.org")
        )
        self.assertRegex(token["expires_at"], r"\A\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z\Z")
        types = {each["type"]: each["endpoints"][0] for each in token["catalog"]}
        self.assertEqual(types["network"]["url"], f"{SITE}/network")
        self.assertEqual((await self.identity.tokens.authenticate(secret)).user, self.user)
        again = await self.request("POST", V3, self.v3(id=self.user))
        self.assertNotEqual(again.header("X-Subject-Token"), secret)

    async def test_token(self) -> None:
        """A token gives another that ends with it, in time and by revocation."""
        answer = await self.request("POST", V3, self.v3_token(self.token.secret))
        self.assertEqual(answer.status, 201)
        secret = answer.header("X-Subject-Token")
        self.assertNotEqual(secret, self.token.secret)
        self.assertEqual(answer.json["token"]["methods"], ["token"])
        expires = self.token.expires.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        self.assertEqual(answer.json["token"]["expires_at"], expires)
        async with self.database.transaction("revoke") as tx:
            await self.identity.tokens.revoke(tx, self.user, self.token.id)
        self.assertEqual((await self.request("POST", V3, self.v3_token(secret))).status, 401)

    async def test_scope(self) -> None:
        """A token can be for a project one is in, by id or name, or for none."""
        project = await make_project(
            self.database, self.user, [self.user], {}, name="lab.example.org"
        )
        default = {"name": "Default"}
        for scope in ({"id": project}, {"name": "lab.example.org", "domain": default}):
            answer = await self.request("POST", V3, self.v3(scope={"project": scope}))
            self.assertEqual(answer.json["token"]["project"]["id"], project)
            secret = answer.header("X-Subject-Token")
            caller = await self.identity.tokens.authenticate(secret)
            self.assertEqual(caller.default_project, project)
        answer = await self.request("POST", V3, self.v3(scope="unscoped"))
        self.assertNotIn("project", answer.json["token"])
        self.assertNotIn("catalog", answer.json["token"])
        other = await self.add("bob@example.org")
        for body in (self.v3(scope={"project": {"id": other}}),):
            self.assertEqual((await self.request("POST", V3, body)).status, 401)
        answer = await self.request("POST", V3, self.v3(scope={"system": {"all": True}}))
        self.assertEqual(answer.status, 400)

    async def test_same_refusal(self) -> None:
        """Unknown user, foreign domain, wrong password, disabled user: the same answer."""
        mallory = {"name": "alice@example.org", "domain": {"id": "other"}}
        bodies = [
            self.v3(name="nobody@example.org"),
            self.v3(id="7b2c0f4e-0000-4000-8000-000000000000"),
            self.v3(id="no-uuid"),
            self.v3(**mallory),
            self.v3("wrong password", name="alice@example.org"),
        ]
        answers = [await self.request("POST", V3, body) for body in bodies]
        await self.disable()
        answers.append(await self.request("POST", V3, self.v3(id=self.user)))
        self.assertEqual({answer.status for answer in answers}, {401})
        self.assertEqual(len({answer.body for answer in answers}), 1)

    async def test_malformed(self) -> None:
        """A request without a method we know, a user or a password is a 400."""
        body = self.v3()
        body["auth"]["identity"]["methods"] = ["password", "totp"]
        nameless = self.v3(domain={"id": "default"})
        without = self.v3()
        unspeakable = self.v3(name="\ud800@example.org")
        del without["auth"]["identity"]["password"]["user"]["password"]
        for each in (
            body,
            nameless,
            without,
            unspeakable,
            {"auth": {"identity": {"methods": ["token"]}}},
        ):
            self.assertEqual((await self.request("POST", V3, each)).status, 400, each)

    async def test_long_password(self) -> None:
        """A password of more than 1024 bytes is refused at once, a body of 10 MB unread."""
        answer = await self.request("POST", V3, self.v3("x" * 1025, id=self.user))
        self.assertEqual(answer.status, 413)
        announced = f"POST {V3} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n\r\n"
        raw = await connect(self.url, announced.encode())
        self.assertIn(b" 413 ", await raw.ended)


class LimitTests(IdentityTestCase):
    async def login(self, password: str = PASSWORD, user: str | None = None):
        return await self.request("POST", V3, self.v3(password, name=user or "alice@example.org"))

    async def test_account_from_address(self) -> None:
        """After three failures the account must wait, known or not, with the right password too."""
        for user in ("alice@example.org", "nobody@example.org"):
            statuses = [(await self.login("wrong one", user)).status for _ in range(4)]
            self.assertEqual(statuses, [401, 401, 401, 429], user)
        answer = await self.login()
        self.assertEqual((answer.status, answer.header("Retry-After")), (429, "300"))
        self.assertEqual(list(answer.json), ["overLimit"])

    async def test_success_forgives(self) -> None:
        """A success forgets the failures before it."""
        for _ in range(3):
            self.assertEqual((await self.login("wrong one")).status, 401)
            self.assertEqual((await self.login()).status, 201)

    async def test_address(self) -> None:
        """After six failures over many accounts an address must wait."""
        for number in range(6):
            answer = await self.login("wrong one", f"u{number}@example.org")
            self.assertEqual(answer.status, 401)
        self.assertEqual((await self.login()).status, 429)

    async def test_others_are_not_locked_out(self) -> None:
        """Whoever fails from one address does not lock the account for another."""
        for _ in range(4):
            await self.login("wrong one")
        name = LoginName(email="alice@example.org")
        found = await self.identity.logins.by_password(name, PASSWORD, "192.0.2.7", Scope())
        self.assertEqual(found.access.caller.user, self.user)

    async def test_window(self) -> None:
        """Failures count for the window only, and are swept after it."""
        for _ in range(4):
            await self.login("wrong one")
        async with self.database.transaction("age") as tx:
            await tx.run("UPDATE login_failures SET failed = failed - interval '301 seconds'")
        self.assertEqual((await self.login()).status, 201)
        async with self.database.transaction("age") as tx:
            await tx.run("INSERT INTO login_failures (account, address) VALUES ('a', 'b')")
            await tx.run("UPDATE login_failures SET failed = failed - interval '301 seconds'")
            self.assertEqual(await self.identity.logins.failures.sweep(tx), 1)

    async def test_rehash(self) -> None:
        """A password hashed with older parameters is hashed anew at log-in."""
        passwords = self.identity.passwords
        old = evolve(passwords, parameters=replace(passwords.parameters, time_cost=2))
        hashed = await old.hash(PASSWORD)
        async with self.database.transaction("age") as tx:
            await tx.run("UPDATE users SET password_hash = %(hash)s", {"hash": hashed})
        self.assertEqual((await self.login()).status, 201)
        (row,) = await self.database.read("SELECT password_hash, last_login FROM users")
        self.assertFalse(passwords.outdated(row[0]))
        self.assertIsNotNone(row[1])
        self.assertEqual((await self.login()).status, 201)
