"""Servers over HTTP."""

from __future__ import annotations

import json

from synnefo_tx.faults import ItemNotFound
from synnefo_tx.ganeti.memory import Fault, JobFault
from synnefo_tx.settings import Compute, Settings
from tests.support.cloud import IMAGE, CloudHttpTestCase

SERVERS = "/compute/v2.0/servers"


class ServerRouteTests(CloudHttpTestCase):
    def body(self, **changes):
        plain = {"name": "first", "flavorRef": self.flavor, "imageRef": IMAGE}
        return {"server": plain | changes}

    async def post(self, **changes):
        return await self.request("POST", SERVERS, self.body(**changes))

    async def test_empty(self) -> None:
        """Without servers the lists are empty."""
        for path in (SERVERS, f"{SERVERS}/detail", f"{SERVERS}/"):
            answer = await self.request("GET", path)
            self.assertEqual((answer.status, answer.json), (200, {"servers": []}))

    async def test_create(self) -> None:
        """A create is a 202 with BUILD, no progress and a password; then the server is ACTIVE."""
        answer = await self.post(metadata={"os": "debian"})
        self.assertEqual(answer.status, 202)
        server = answer.json["server"]
        self.assertEqual((server["status"], server["progress"]), ("BUILD", 0))
        self.assertEqual(server["SNF:task_state"], "BUILDING")
        self.assertGreaterEqual(len(server["adminPass"]), 10)
        await self.settle()
        shown = (await self.request("GET", f"{SERVERS}/{server['id']}")).json["server"]
        self.assertEqual((shown["status"], shown["progress"]), ("ACTIVE", 100))
        self.assertEqual(shown["metadata"], {"os": "debian"})
        self.assertNotIn("adminPass", shown)
        (attachment,) = shown["attachments"]
        self.assertEqual(attachment["ipv4"], "203.0.113.2")
        self.assertEqual(
            shown["addresses"][str(self.public)],
            [{"version": 4, "addr": "203.0.113.2", "OS-EXT-IPS:type": "fixed"}],
        )

    async def test_refused_requests(self) -> None:
        """A request that cannot be is refused by the field, and nothing is left of it."""
        wrong = [
            (400, {"name": ""}),
            (400, {"name": "x" * 256}),
            (400, {"name": "a\nb"}),
            (400, {"name": 5}),
            (400, {"flavorRef": "x"}),
            (400, {"flavorRef": True}),
            (404, {"flavorRef": 5000}),
            (404, {"imageRef": "00000000-0000-0000-0000-000000000000"}),
            (400, {"metadata": {"k": 5}}),
            (400, {"metadata": {"k": "v" * 501}}),
            (400, {"metadata": {str(n): "v" for n in range(11)}}),
            (400, {"adminPass": "short"}),
            (400, {"adminPass": "alllowercase1"}),
            (400, {"networks": "x"}),
            (400, {"networks": ["x"]}),
            (404, {"networks": [{"uuid": "5000"}]}),
            (403, {"networks": [{"uuid": self.public}]}),
            (400, {"personality": [{"path": "/x", "contents": "%%%"}]}),
            (400, {"personality": [{"path": "/x"}]}),
            (413, {"personality": [{"path": "/x", "contents": "aGk="}] * 6}),
            (413, {"personality": [{"path": "/x", "contents": "aGk=" * 5000}]}),
            (400, {"project": "00000000-0000-0000-0000-000000000000"}),
        ]
        for status, changes in wrong:
            answer = await self.post(**changes)
            self.assertEqual((changes, answer.status), (changes, status))
        answer = await self.request("POST", SERVERS, {})
        self.assertEqual(answer.status, 400)
        self.assertIn("server", answer.json["badRequest"]["message"])
        for table in ("servers", "ports", "volumes", "reservations", "intents"):
            rows = await self.database.read(f"SELECT count(*) FROM {table}")
            self.assertEqual((table, rows), (table, [(0,)]))
        self.assertEqual(await self.usage(), {})

    async def test_over_quota(self) -> None:
        """Over quota is a 413 overLimit that says what is over."""
        await self.set_limit(self.user, "cyclades.vm", 0)
        answer = await self.post()
        self.assertEqual((answer.status, list(answer.json)), (413, ["overLimit"]))
        self.assertEqual(answer.json["overLimit"]["data"]["provision"]["resource"], "cyclades.vm")

    async def test_rename(self) -> None:
        """A rename is a 204; a name of 500 characters a 400."""
        id = await self.built()
        answer = await self.request("PUT", f"{SERVERS}/{id}", {"server": {"name": "Ωmega"}})
        self.assertEqual((answer.status, answer.body), (204, b""))
        listed = (await self.request("GET", SERVERS)).json["servers"]
        self.assertEqual([each["name"] for each in listed], ["Ωmega"])
        answer = await self.request("PUT", f"{SERVERS}/{id}", {"server": {"name": "x" * 500}})
        self.assertEqual(answer.status, 400)

    async def test_stranger(self) -> None:
        """A stranger gets the same for a server of somebody else as for one that is not there."""
        id = await self.built()
        token = await self.token(await self.make_caller("stranger@example.org"))
        calls = [
            ("GET", "", None),
            ("PUT", "", {"server": {"name": "mine"}}),
            ("DELETE", "", None),
            ("POST", "/action", {"shutdown": {}}),
            ("POST", "/action", {"console": {"type": "vnc-wss"}}),
            ("GET", "/metadata", None),
            ("POST", "/metadata", {"metadata": {"a": "b"}}),
            ("GET", "/diagnostics", None),
        ]
        for method, path, body in calls:
            answers = [
                await self.request(method, f"{SERVERS}/{each}{path}", body, token=token)
                for each in (id, 5000)
            ]
            self.assertEqual([each.status for each in answers], [404, 404], (method, path))
            self.assertEqual(answers[0].body, answers[1].body)

    async def test_administrator(self) -> None:
        """An administrator who uses the API is a stranger to the servers of others."""
        id = await self.built()
        admin = await self.make_caller("admin@example.org", is_admin=True)
        token = await self.token(admin)
        answer = await self.request("GET", SERVERS, token=token)
        self.assertEqual(answer.json, {"servers": []})
        answer = await self.request("DELETE", f"{SERVERS}/{id}", token=token)
        self.assertEqual(answer.status, 404)

    async def test_actions(self) -> None:
        """Actions answer 202; what does not fit the state, or is unknown, answers 400."""
        id = await self.built()
        wrong = [{}, {"fly": {}}, {"start": {}}, {"reboot": {"type": "X"}}, {"resize": {}}]
        for body in wrong:
            answer = await self.request("POST", f"{SERVERS}/{id}/action", body)
            self.assertEqual((body, answer.status), (body, 400))
        for name in ("rebuild", "changePassword", "os-getSPICEConsole"):
            answer = await self.request("POST", f"{SERVERS}/{id}/action", {name: {}})
            self.assertEqual((name, answer.status), (name, 501))
        answer = await self.request("POST", f"{SERVERS}/{id}/action", {"suspend": {}})
        self.assertEqual(answer.status, 403)
        answer = await self.request("POST", f"{SERVERS}/{id}/action", {"os-stop": None})
        self.assertEqual(answer.status, 202)
        answer = await self.request("POST", f"{SERVERS}/{id}/action", {"start": {}})
        self.assertEqual(answer.status, 400)
        await self.settle()
        self.assertEqual(await self.operstate(id), "STOPPED")

    async def test_metadata(self) -> None:
        """Metadata is merged, shown and removed item by item."""
        id = await self.built()
        path = f"{SERVERS}/{id}/metadata"
        answer = await self.request("POST", path, {"metadata": {"a": "1", "b": "2"}})
        self.assertEqual((answer.status, answer.json), (201, {"metadata": {"a": "1", "b": "2"}}))
        answer = await self.request("PUT", f"{path}/a", {"meta": {"a": "3"}})
        self.assertEqual((answer.status, answer.json), (201, {"meta": {"a": "3"}}))
        answer = await self.request("PUT", f"{path}/a", {"meta": {"b": "3"}})
        self.assertEqual(answer.status, 400)
        answer = await self.request("DELETE", f"{path}/a")
        self.assertEqual(answer.status, 204)
        answer = await self.request("GET", f"{path}/a")
        self.assertEqual(answer.status, 404)
        self.assertEqual((await self.request("GET", path)).json, {"metadata": {"b": "2"}})

    async def test_changes_since(self) -> None:
        """changes-since shows removed servers too, and is a 304 when there is nothing new."""
        id = await self.built()
        moment = (await self.database.read("SELECT synnefo_now() + interval '1 ms'"))[0][0]
        query = f"?changes-since={moment.isoformat().replace('+', '%2B')}"
        answer = await self.request("GET", f"{SERVERS}/detail{query}")
        self.assertEqual((answer.status, answer.body), (304, b""))
        self.assertIsNotNone(answer.header("Date"))
        await self.app.compute.actions.delete(self.user, id)
        await self.settle()
        answer = await self.request("GET", f"{SERVERS}/detail{query}")
        self.assertEqual([s["status"] for s in answer.json["servers"]], ["DELETED"])
        for wrong in ("yesterday", "2020-01-01T00:00:00", "2020-01-01T00:00:00%2B00:00"):
            answer = await self.request("GET", f"{SERVERS}?changes-since={wrong}")
            self.assertEqual((wrong, answer.status), (wrong, 400))

    async def test_console_types(self) -> None:
        """Only vnc-wss is served; the reply has the original's keys and a URL."""
        id = await self.built()
        path = f"{SERVERS}/{id}/action"
        for kind in ("vnc", "vnc-ws", "foo", None, 5):
            answer = await self.request("POST", path, {"console": {"type": kind}})
            self.assertEqual((kind, answer.status), (kind, 400))

    async def test_parameters(self) -> None:
        """One-time parameters are read once over HTTP; a guess is a 404 that tells nothing."""
        # The job waits, so that the test reads before the cluster's own installer does.
        self.ganeti["alpha"].faults.add(Fault(JobFault.STAYS_QUEUED, opcode="OP_INSTANCE_CREATE"))
        answer = await self.post(adminPass="Secret12345")
        rows = await self.database.read(
            "SELECT arguments FROM intents WHERE call = 'create_instance'"
        )
        url = rows[0][0]["osparams"]["config_url"]
        path = "/vmapi" + url.partition("/vmapi")[2]
        guess = await self.request("GET", "/vmapi/v1.0/server-params/guess", token=None)
        self.assertEqual(guess.status, 404)
        content = await self.request("GET", path, token=None)
        self.assertEqual(content.status, 200)
        self.assertEqual(content.json["img_passwd"], "Secret12345")
        for _ in range(50):
            again = await self.request("GET", path, token=None)
            if again.status == 404:
                break
        self.assertEqual(again.status, 404)
        self.assertEqual(answer.json["server"]["adminPass"], "Secret12345")
        sealed = await self.database.read("SELECT count(*) FROM server_params")
        self.assertEqual(sealed, [(0,)])

    async def test_health_and_metrics(self) -> None:
        """Health asks each part; metrics count requests by endpoint and status."""
        await self.post()
        await self.settle()
        answer = await self.request("GET", "/health", token=None)
        self.assertEqual((answer.status, answer.json["status"]), (200, "ok"))
        text = (await self.request("GET", "/metrics", token=None)).body.decode()
        self.assertIn('endpoint="POST /compute/v2.0/servers",status="202"', text)
        self.assertIn("synnefo_database_busy", text)
        self.assertIn('synnefo_cluster_failing{backend="1"} 0.0', text)
        self.ganeti["alpha"].faults.add(Fault(JobFault.STAYS_QUEUED))
        await self.post()
        text = (await self.request("GET", "/metrics", token=None)).body.decode()
        self.assertIn('synnefo_oldest_task_seconds{task="BUILD"}', text)
        self.assertIn('synnefo_open_intents{backend="1"} 1.0', text)
        self.assertNotIn("Secret", json.dumps(text))

    async def test_metrics_without_database(self) -> None:
        """While the database is away a process still tells what it counted itself, and nothing of
        what it cannot know."""
        await self.post()
        ask = ("GET", "/metrics")
        text = (await self.request(*ask, token=None)).body.decode()
        self.assertIn("synnefo_database_answers 1.0", text)
        await self.database.close()
        answer = await self.request(*ask, token=None)
        self.assertEqual(answer.status, 200)
        text = answer.body.decode()
        self.assertIn("synnefo_database_answers 0.0", text)
        self.assertIn('endpoint="POST /compute/v2.0/servers",status="202"', text)
        self.assertNotIn("synnefo_open_intents{", text)


class GuessedParametersTests(CloudHttpTestCase):
    settings = Settings(compute=Compute(vmapi_nodes_only=True, vmapi_misses_max=3))

    async def test_guesses(self) -> None:
        """Who guesses is held off with a 429 that says for how long."""
        path = "/vmapi/v1.0/server-params/guess"
        statuses = [(await self.request("GET", path, token=None)).status for _ in range(5)]
        self.assertEqual(statuses, [404, 404, 404, 429, 429])
        answer = await self.request("GET", path, token=None)
        self.assertGreater(int(answer.header("Retry-After")), 0)

    async def test_nodes_only(self) -> None:
        """With the setting, parameters are given to nodes of the server's cluster only."""
        self.ganeti["alpha"].faults.add(Fault(JobFault.STAYS_QUEUED, opcode="OP_INSTANCE_CREATE"))
        await self.request(
            "POST",
            SERVERS,
            {"server": {"name": "n", "flavorRef": self.flavor, "imageRef": IMAGE}},
        )
        rows = await self.database.read(
            "SELECT arguments FROM intents WHERE call = 'create_instance'"
        )
        id = rows[0][0]["osparams"]["config_url"].rpartition("/")[2]
        parameters = self.app.compute.parameters
        with self.assertRaises(ItemNotFound):
            await parameters.read(id, "192.0.2.99")
        self.assertIn(b"img_passwd", await parameters.read(id, "127.0.0.1"))
