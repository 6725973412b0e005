"""What requests and commands leave in the journal."""

from __future__ import annotations

import re
from typing import Any

from synnefo_tx.caller import OPERATOR
from synnefo_tx.ganeti.memory.faults import Fault, JobFault
from synnefo_tx.identity.users.model import UserChanges
from synnefo_tx.journal.model import Entry, Scope
from tests.support.application import CommandTestCase
from tests.support.cloud import IMAGE, CloudHttpTestCase

# Says what a token stands for; nothing is changed.
READING = {"POST /identity/v2.0/tokens"}
SECRET = "Correct-horse-7"
WHO = {"email": "user@example.org", "password": SECRET}

Example = tuple[str, Any, str]
"""The path of a request, its body, its name in the journal."""


class EveryChangeTests(CloudHttpTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        await self.app.identity.users.modify(self.user.user, UserChanges(password=SECRET))
        self.user_token = await self.token(self.user)

    async def newest(self) -> Entry:
        return (await self.app.journal.page(OPERATOR, Scope(), 1))[0]

    async def examples(self) -> dict[str, Example]:
        """A request for every changing endpoint."""
        token = {"auth": {"identity": {"methods": ["token"], "token": {"id": self.user_token}}}}
        tokens = "/identity/v3/auth/tokens"
        return {
            **await self.server_examples(),
            **await self.network_examples(),
            "POST /ui/session": ("/ui/session", WHO, "identity:session:create"),
            "DELETE /ui/session/<id>": ("/ui/session/1", None, "identity:session:end"),
            f"POST {tokens}": (tokens, token, "identity:token:create"),
        }

    async def server_examples(self) -> dict[str, Example]:
        server, gone = await self.built(), await self.built()
        await self.app.compute.servers.put_metadata(self.user, server, {"b": "1"})
        new = {"name": "new", "imageRef": IMAGE, "flavorRef": self.flavor, "networks": []}
        other, meta = {"server": {"name": "other"}}, {"a": SECRET}
        base = "/compute/v2.0/servers"
        one, path = f"{base}/<server_id>", f"{base}/{server}"
        change = "compute:server:metadata:change"
        reboot = {"reboot": {"type": "HARD"}}
        return {
            f"POST {base}": (base, {"server": new}, "compute:server:create"),
            f"PUT {one}": (path, other, "compute:server:rename"),
            f"DELETE {one}": (f"{base}/{gone}", None, "compute:server:delete"),
            f"POST {one}/action": (f"{path}/action", reboot, "compute:server:action:reboot"),
            f"POST {one}/metadata": (f"{path}/metadata", {"metadata": meta}, change),
            f"PUT {one}/metadata/<key>": (f"{path}/metadata/a", {"meta": meta}, change),
            f"DELETE {one}/metadata/<key>": (f"{path}/metadata/b", None, change),
        }

    async def network_examples(self) -> dict[str, Example]:
        create = self.app.compute.networks.create_private
        network = await create(self.user, "mine", "MAC_FILTERED", None)
        gone = await create(self.user, "other", "MAC_FILTERED", None)
        base = "/network/v2.0"
        one, path = f"{base}/networks/<network_id>", f"{base}/networks"
        new, name = {"network": {"name": "n", "type": "MAC_FILTERED"}}, {"network": {"name": "m"}}
        cidr = {"network_id": str(network.id), "cidr": "192.168.9.0/24", "ip_version": 4}
        return {
            f"POST {path}": (path, new, "network:network:create"),
            f"PUT {one}": (f"{path}/{network.id}", name, "network:network:rename"),
            f"DELETE {one}": (f"{path}/{gone.id}", None, "network:network:delete"),
            f"POST {base}/subnets": (f"{base}/subnets", {"subnet": cidr}, "network:subnet:create"),
        }

    async def test_every_change(self) -> None:
        """Every endpoint that changes something leaves one row, with its name, its caller, the
        address and the request's id, and no value that was sent in it."""
        examples = await self.examples()
        self.assertEqual((await self.request("POST", "/ui/session", WHO)).status, 201)
        mounted = self.app.site.mounted
        changing = {each.name: each.endpoint for each in mounted if each.endpoint.journal}
        others = {each.name for each in mounted if each.endpoint.method != "GET"} - set(changing)
        # Asks with the cookie that it takes back, as ``test_sign_out`` does.
        changing.pop("DELETE /ui/session")
        self.assertEqual((set(examples), others), (set(changing), READING))
        for name, (path, body, action) in examples.items():
            before = await self.newest()
            answer = await self.request(name.split()[0], path, body)
            self.assertLess(answer.status, 300, (name, answer.body))
            rows = [
                each
                for each in await self.app.journal.page(OPERATOR, Scope(), 5)
                if each.id > before.id and each.request == answer.header("X-Request-Id")
            ]
            self.assertEqual([each.action for each in rows], [action], name)
            (row,) = rows
            self.assertTrue(action.startswith(changing[name].journal), name)
            self.assertEqual((row.actor, row.owner), (self.user.user,) * 2, name)
            self.assertEqual(row.remote, "127.0.0.1", name)
            self.assertNotIn(SECRET, repr(row))

    async def test_sign_out(self) -> None:
        """A browser's sign-out is in it, by whom it was."""
        signed_in = await self.request("POST", "/ui/session", WHO, token=None)
        cookie = signed_in.header("Set-Cookie").split(";")[0]
        headers = {"Cookie": cookie, "X-Synnefo-UI": "1"}
        answer = await self.request("DELETE", "/ui/session", token=None, headers=headers)
        self.assertEqual(answer.status, 204)
        row = await self.newest()
        self.assertEqual((row.action, row.actor), ("identity:session:end", self.user.user))
        self.assertEqual((row.owner, row.request), (row.actor, answer.header("X-Request-Id")))

    async def test_outcome(self) -> None:
        """A server's activity tells its build from asking to success, and what failed."""
        server = await self.built()
        self.ganeti["alpha"].faults.add(Fault(JobFault.FAILS, opcode="OP_INSTANCE_SHUTDOWN"))
        answer = await self.request(
            "POST", f"/compute/v2.0/servers/{server}/action", {"shutdown": {}}
        )
        self.assertEqual(answer.status, 202)
        await self.settle()
        answer = await self.request("GET", f"/ui/activity?server={server}")
        stop, build = answer.json["activity"]
        self.assertEqual((build["action"], build["result"]), ("compute:server:create", "success"))
        self.assertEqual((stop["who"], stop["result"]), (self.user.user, "error"))
        self.assertLessEqual(build["started"], build["ended"])
        self.assertNotIn("error", set(stop) - {"result"})

    async def test_foreign(self) -> None:
        """A stranger sees nothing of a server; of what an operator did, the owner sees no name."""
        server = await self.built()
        await self.app.compute.actions.suspend(OPERATOR, server, True)
        stranger = await self.token(await self.make_caller("stranger@example.org"))
        answer = await self.request("GET", f"/ui/activity?server={server}", token=stranger)
        self.assertEqual(answer.json, {"activity": [], "before": None})
        answer = await self.request("GET", f"/ui/activity?server={server}")
        newest = answer.json["activity"][0]
        self.assertEqual((newest["who"], newest["address"]), ("system", ""))

    async def test_bad_queries(self) -> None:
        """What is no number, or no project, is a 400."""
        for query in (
            "server=x",
            "server=",
            "server=1e3",
            "before=-1",
            "project=",
            f"before={'9' * 30}",
        ):
            answer = await self.request("GET", f"/ui/activity?{query}")
            self.assertEqual(answer.status, 400, query)


class LogInTests(CloudHttpTestCase):
    async def log_in(self, name: str, password: str):
        user = {"name": name, "domain": {"id": "default"}, "password": password}
        identity = {"methods": ["password"], "password": {"user": user}}
        body = {"auth": {"identity": identity}}
        return await self.request("POST", "/identity/v3/auth/tokens", body, token=None)

    async def test_refused(self) -> None:
        """Log-ins and refused ones are in it, with the address; what was typed is not, since a
        name may be a password."""
        users = self.app.identity.users
        made = await users.add("ann@example.org", "A", "B", password=SECRET, accepted=True)
        self.assertEqual((await self.log_in("ann@example.org", SECRET)).status, 201)
        self.assertEqual((await self.log_in("ann@example.org", "wrong")).status, 401)
        self.assertEqual((await self.log_in("typed-secret", "wrong")).status, 401)
        unknown, wrong, right = await self.app.journal.page(OPERATOR, Scope(), 3)
        self.assertEqual((right.actor, right.owner, right.result), (made.uuid, made.uuid, "done"))
        self.assertEqual((wrong.actor, wrong.owner, wrong.result), ("", made.uuid, "refused"))
        self.assertEqual((unknown.owner, unknown.result), ("", "refused"))
        for each in (unknown, wrong, right):
            self.assertEqual(each.remote, "127.0.0.1")
            self.assertNotRegex(repr(each), re.compile(f"typed|wrong'|{SECRET}"))


class CommandTests(CommandTestCase):
    async def test_commands(self) -> None:
        """Commands that change something are in it with the operator; listings are not; the list
        of it filters as others do and shows no secret."""
        ran = await self.command("user-add", "ann@example.org", "A", "B", "--password", SECRET)
        self.assertEqual(ran.status, 0, ran.err)
        await self.records("user-modify", "1", "--verify", "--renew-token")
        await self.records("resource-modify", "cyclades.vm", "--system-default", "4")
        await self.records("user-list")
        listed = await self.records("journal-list", "-o", "actor,action,kind,details,result")
        self.assertEqual(
            [each["action"] for each in listed],
            ["identity:resource:modify", "identity:user:modify", "identity:user:create"],
        )
        self.assertEqual({each["actor"] for each in listed}, {"operator:tester"})
        self.assertEqual(listed[1]["details"], "verify, renew_token")
        self.assertNotIn(SECRET, repr(listed))
        some = await self.records("journal-list", "--filter-by", "kind=user", "-o", "action")
        self.assertEqual(len(some), 2)
        mine = await self.records("journal-list", "--user", "ann@example.org", "-o", "action")
        self.assertEqual(len(mine), 2)
        newest = ("journal-list", "--limit", "1", "-o", "user.uuid,project,kind")
        self.assertEqual([each["kind"] for each in await self.records(*newest)], ["resource"])
        (one,) = await self.records(*newest, "--user", "ann@example.org")
        self.assertEqual(one["kind"], "user")
        self.assertEqual(await self.records(*newest, "--project", one["user.uuid"]), [])
        self.assertIn("--limit", await self.refusal("journal-list", "--limit", "0"))

    async def test_actor(self) -> None:
        """The list of what one operator or user did, or the system, to things of whomever."""
        await self.command("user-add", "ann@example.org", "A", "B", "--password", SECRET)
        by = ("journal-list", "-o", "action", "--actor")
        self.assertEqual(len(await self.records(*by, "operator:tester")), 1)
        for nobody in ("operator:test", "system", "ann@example.org"):
            self.assertEqual(await self.records(*by, nobody), [], nobody)
        self.assertIn("no user", await self.refusal("journal-list", "--actor", "bob@example.org"))
