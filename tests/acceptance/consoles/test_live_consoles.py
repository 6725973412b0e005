"""Live consoles in several processes end within a second of the act that ends them (SEC6)."""

from __future__ import annotations

import os
import signal
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.python.filepath import FilePath

from synnefo_tx.identity.access.store import INACTIVE
from synnefo_tx.identity.sessions.model import Visitor
from synnefo_tx.starting import own_server
from tests.console.support import BrowserWire
from tests.crash.cases import IMAGE, CrashTestCase
from tests.crash.load import SERVERS
from tests.support.http import request
from tests.support.keptalive import KeptConnection
from tests.support.processes import CloudProcess, numbered_processes_of, until

LIMIT_SECONDS = 1.0


class LiveConsoleTests(CrashTestCase):
    """One console of a user in a worker's process, one in a process of its own."""

    arguments = ("--workers", "2")
    hypervisor = "kvm"
    changes = {"CONSOLE__TICKET_SECONDS": "120"}

    async def setUp(self) -> None:
        await super().setUp()
        home = self.folder / "home"
        url = own_server(home).url
        self.apart = CloudProcess(home, {"DATABASE__URL": url}, "--role", "console")
        self.addCleanup(self.apart.end)
        await self.apart.start_ready()
        self.user = self.users[0]
        await self.read(self.user, SERVERS)

    async def running_server(self) -> int:
        wanted = {"name": "screen", "flavorRef": self.user.flavors[0], "imageRef": IMAGE}
        answer = await self.ask("POST", SERVERS, {"server": wanted})
        id = answer["server"]["id"]

        async def active() -> bool:
            server = (await self.read(self.user, f"{SERVERS}/{id}"))["server"]
            return server["status"] == "ACTIVE"

        await until(active, 30, "the server runs")
        return id

    async def ask(self, method, path, body):
        answer = await request(self.cloud.url, method, path, body, token=self.user.token)
        self.assertLess(answer.status, 300, answer.body)
        return answer.json

    async def opened(self, process: CloudProcess, server: int) -> BrowserWire:
        """A console of the server in a process, past the handshake."""
        action = {"console": {"type": "vnc-wss"}}
        asked = await self.ask("POST", f"{SERVERS}/{server}/action", action)
        return await self.with_console(process, asked["console"])

    async def with_console(self, process: CloudProcess, console: dict[str, Any]) -> BrowserWire:
        """What a console's reply leads to in a process, past the handshake."""
        certificate = self.folder / "home" / "tls" / "console-certificate.pem"
        root = Certificate.loadPEM(FilePath(str(certificate)).getContent())
        port = process.settings.console.port
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        options = optionsForClientTLS("127.0.0.1", trustRoot=root)
        client = await wrapClientTLS(options, endpoint).connect(Factory.forProtocol(BrowserWire))
        self.addCleanup(lambda: client.is_lost or client.transport.abortConnection())
        ticket = console["url"].rpartition("/")[2]
        await client.upgrade(ticket, origin=f"https://127.0.0.1:{port}")
        self.assertEqual(await client.authenticate(console["password"]), b"\0\0\0\0")
        return client

    async def test_token(self) -> None:
        """All tokens of the user ended by a command: both consoles close, with the reason."""
        server = await self.running_server()
        clients = [await self.opened(each, server) for each in (self.cloud, self.apart)]
        uuid = (await self.cloud.manage("user-list", "--filter-by", "email=user0@example.org"))[0]
        await self.cloud.manage("user-modify", uuid["uuid"], "--renew-token")
        begun = reactor.seconds()
        for client in clients:
            code, reason = await client.closing()
            self.assertEqual(code, 4403)
            self.assertIn("token", reason)
        self.assertLess(reactor.seconds() - begun, LIMIT_SECONDS)

    async def test_user(self) -> None:
        """A ticket of a session is good though the worker that gave it was killed, and secrets have
        another key since; its console ends with the session, the one of a token stays until the
        user is disabled by a command."""
        server = await self.running_server()
        uuid = (await self.cloud.manage("user-list", "--filter-by", "email=user0@example.org"))[0]
        async with self.application() as app, app.database.transaction("sign-in") as tx:
            await app.identity.sessions.begin(tx, uuid["uuid"], "v" * 43, Visitor("127.0.0.1"))
        asked = self.asked_of_killed(server)
        await self.cloud.manage("secret-rotate")
        await self.cloud.manage("secret-rotate", "--retire")
        signed_in = await self.with_console(self.apart, asked)
        by_token = await self.opened(self.cloud, server)
        sessions = await self.cloud.manage("session-list")
        await self.cloud.manage("session-end", sessions[0]["id"])
        begun = reactor.seconds()
        code, reason = await signed_in.closing()
        self.assertEqual(code, 4403)
        self.assertIn("session", reason)
        self.assertLess(reactor.seconds() - begun, LIMIT_SECONDS)
        await self.cloud.manage("user-modify", uuid["uuid"], "--set-inactive")
        begun = reactor.seconds()
        code, reason = await by_token.closing()
        self.assertEqual((code, reason), (4403, INACTIVE))
        self.assertLess(reactor.seconds() - begun, LIMIT_SECONDS)

    def asked_of_killed(self, server: int) -> dict[str, Any]:
        """A console that was asked for by the session's cookie, of a worker that is dead now."""
        connection = KeptConnection(self.cloud.settings.http.port)
        headers = {"Cookie": f"synnefo={'v' * 43}", "X-Synnefo-UI": "1"}
        action = {"console": {"type": "vnc-wss"}}
        path = f"{SERVERS}/{server}/action"
        status, document, _ = connection.send("POST", path, headers, action)
        self.assertEqual(status, 200, document)
        found = numbered_processes_of(self.folder)
        workers = [pid for pid, command in found.items() if "--name api-" in command]
        self.assertEqual(len(workers), 2)
        worker = connection.pid_among(workers)
        assert worker is not None
        os.kill(worker, signal.SIGKILL)
        connection.close()
        return document["console"]
