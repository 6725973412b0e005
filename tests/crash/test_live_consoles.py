"""Live consoles in several processes end within a second of the act that ends them (SEC6)."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, wrapClientTLS
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.python.filepath import FilePath

from synnefo_tx.starting import own_server
from tests.console.support import BrowserWire
from tests.crash.cases import IMAGE, CrashTestCase
from tests.crash.load import SERVERS
from tests.support.http import request
from tests.support.processes import CloudProcess, until

LIMIT_SECONDS = 1.0


class LiveConsoleTests(CrashTestCase):
    """One console of a user in a worker's process, one in a process of its own."""

    arguments = ("--workers", "2")
    hypervisor = "kvm"

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
        console = (await self.ask("POST", f"{SERVERS}/{server}/action", action))["console"]
        certificate = self.folder / "home" / "tls" / "console-certificate.pem"
        root = Certificate.loadPEM(FilePath(str(certificate)).getContent())
        port = process.settings.console.port
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
        options = optionsForClientTLS("127.0.0.1", trustRoot=root)
        client = await wrapClientTLS(options, endpoint).connect(Factory.forProtocol(BrowserWire))
        self.addCleanup(client.transport.abortConnection)
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
        """The user disabled by a command: both consoles close, with the reason."""
        server = await self.running_server()
        clients = [await self.opened(each, server) for each in (self.cloud, self.apart)]
        uuid = (await self.cloud.manage("user-list", "--filter-by", "email=user0@example.org"))[0]
        await self.cloud.manage("user-modify", uuid["uuid"], "--set-inactive")
        begun = reactor.seconds()
        for client in clients:
            self.assertEqual((await client.closing())[0], 4403)
        self.assertLess(reactor.seconds() - begun, LIMIT_SECONDS)
