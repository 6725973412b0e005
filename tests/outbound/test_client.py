"""The client for URLs of users, against a server of the test's own (security list SEC13-16)."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from ipaddress import ip_address

from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorSSL
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, PrivateCertificate, trustRootFromCertificates
from twisted.internet.task import LoopingCall, deferLater
from twisted.trial.unittest import TestCase

from synnefo_tx.faults import Fault, ServiceUnavailable
from synnefo_tx.ganeti.memory.certificate import self_signed
from synnefo_tx.outbound.client import Outbound, system_resolver
from synnefo_tx.outbound.model import UNREACHABLE, Fetched, Unreachable, UrlRefused
from synnefo_tx.settings import Outbound as Settings
from tests.outbound.test_rules import INNER, REFUSED_FORMS
from tests.support.accounts import InPlace

assert IReactorSSL.providedBy(reactor)
NAME = "outside.example"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: 1\r\nX-One: 2\r\n\r\nhello"


class Peer(Protocol):
    """Keeps what it is sent; at the end of a request's headers answers as it was told."""

    def connectionMade(self) -> None:
        self.factory.peers.append(self)
        self.received = b""
        self.lost = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if b"\r\n\r\n" in self.received:
            self.factory.answer(self)

    def connectionLost(self, reason=None) -> None:
        self.lost.callback(None)


class OutboundTestCase(TestCase):
    """A server on loopback, which stands for a public address, and names that lead to it."""

    timeout = 30

    def setUp(self) -> None:
        self.factory = Factory.forProtocol(Peer)
        self.factory.noisy = False
        self.factory.peers = []
        self.answer = OK
        self.factory.answer = lambda peer: peer.transport.write(self.answer)
        self.asked: list[str] = []
        self.names = {NAME: ["127.0.0.1"]}

    def listen(self, tls=None) -> int:
        if tls is None:
            port = reactor.listenTCP(0, self.factory, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, self.factory, tls, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.port = port.getHost().port
        return self.port

    async def resolve(self, host: str):
        self.asked.append(host)
        found = self.names.get(host, [])
        if callable(found):
            found = found()
        return [ip_address(each) for each in found]

    def client(self, trust_root=None, **changes) -> Outbound:
        values = {"ports": (self.port,), "networks": ("127.0.0.0/8",), **changes}
        return Outbound(Settings(**values), reactor, self.resolve, trust_root)

    async def get(self, host: str = NAME, path: str = "/", **changes) -> Fetched:
        return await self.client(**changes).fetch("GET", f"http://{host}:{self.port}{path}")

    async def failure(self, host: str = NAME, **changes) -> str:
        try:
            await self.get(host, **changes)
        except Unreachable as error:
            return str(error)
        raise AssertionError("it was reached")


class FetchTests(OutboundTestCase):
    async def test_fetched(self) -> None:
        """The answer of a public address comes with its status, headers and body; what is sent is
        the request, its host, and nothing of ours."""
        self.listen()
        got = await self.get(path="/a?b=c")
        self.assertEqual((got.status, got.body, got.headers["x-one"]), (200, b"hello", "1"))
        (peer,) = self.factory.peers
        lines = peer.received.decode().rstrip().split("\r\n")
        self.assertEqual(lines[0], "GET /a?b=c HTTP/1.1")
        self.assertEqual(
            sorted(each.lower() for each in lines[1:]),
            [
                "accept-encoding: identity",
                "connection: close",
                f"host: {NAME}:{self.port}",
                "user-agent: synnefo",
            ],
        )
        await peer.lost

    async def test_body(self) -> None:
        """A body and the caller's own headers are sent."""
        self.listen()
        client = self.client()
        url = f"http://{NAME}:{self.port}/hook"
        await client.fetch("POST", url, headers={"X-Signature": "abc"}, body=b"{}")
        received = self.factory.peers[0].received
        self.assertIn(b"X-Signature: abc", received)
        self.assertIn(b"Content-Length: 2", received)

    async def test_credentials(self) -> None:
        """Headers that hold credentials, or that are the client's own, are no caller's to send
        (SEC16); nor are line breaks."""
        self.listen()
        for name in ("Authorization", "cookie", "X-Auth-Token", "Proxy-Authorization", "Host"):
            with self.assertRaises(ValueError):
                await self.client().fetch("GET", f"http://{NAME}/", headers={name: "x"})
        with self.assertRaises(ValueError):
            await self.client().fetch("GET", f"http://{NAME}/", headers={"X-A": "x\r\nCookie: y"})
        with self.assertRaises(ValueError):
            await self.client().fetch("CONNECT", f"http://{NAME}/")

    async def test_forms(self) -> None:
        """URLs of wrong form are refused before anybody is asked (SEC13, SEC17)."""
        self.listen()
        for url in REFUSED_FORMS:
            with self.assertRaises(UrlRefused):
                await self.client(ports=(80, 443)).fetch("GET", url)
        self.assertEqual((self.asked, self.factory.peers), ([], []))

    async def test_inner(self) -> None:
        """No inner address is connected to, named as such or by a name, and the text is the same
        whether its port is open, closed, or nobody has the name (SEC13)."""
        self.listen()
        texts = {await self.failure("127.0.0.1", networks=())}
        with_name = set()
        for address in [*INNER, "127.0.0.1"]:
            self.names["inner.example"] = [address]
            with_name.add(await self.failure("inner.example", networks=()))
        texts |= with_name
        self.assertEqual(self.factory.peers, [])
        texts.add(await self.failure("unknown.example"))
        closed = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
        number = closed.getHost().port
        await closed.stopListening()
        try:
            await self.client(ports=(number,)).fetch("GET", f"http://{NAME}:{number}/")
        except Unreachable as error:
            texts.add(str(error))
        self.answer = b"SSH-2.0-OpenSSH\r\n"
        texts.add(await self.failure())
        self.assertEqual(texts, {UNREACHABLE})

    async def test_mixed(self) -> None:
        """A name with one public and one inner address is not asked at all (SEC15)."""
        self.listen()
        for addresses in (["127.0.0.1", "10.0.0.1"], ["10.0.0.1", "127.0.0.1"]):
            self.names[NAME] = addresses
            await self.failure()
        self.assertEqual(self.factory.peers, [])

    async def test_rebinding(self) -> None:
        """A name is resolved once; the connection goes to the address that was checked, whatever
        the name says then (SEC15)."""
        self.listen()
        answers = iter([["127.0.0.1"]])
        self.names[NAME] = lambda: next(answers, ["10.0.0.1"])
        self.assertEqual((await self.get()).body, b"hello")
        self.assertEqual(self.asked, [NAME])

    async def test_next_address(self) -> None:
        """If the first address takes no connection, the next does."""
        self.listen()
        self.names[NAME] = ["127.0.0.9", "127.0.0.1"]
        self.assertEqual((await self.get()).body, b"hello")

    async def test_redirect(self) -> None:
        """A redirect is an answer; it is not followed, to an inner address or any other (SEC14)."""
        self.listen()
        for location in ("http://127.0.0.1/", "http://169.254.169.254/", f"http://{NAME}/b"):
            self.answer = (
                f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
            )
            got = await self.get()
            self.assertEqual((got.status, got.headers["location"]), (302, location))
        self.assertEqual(len(self.factory.peers), 3)

    async def test_operator_limits(self) -> None:
        """Only ports that are listed may be named, and hosts, if any are; what the operator denies
        is not asked."""
        self.listen()
        with self.assertRaises(UrlRefused):
            await self.get(ports=(80, 443))
        with self.assertRaises(UrlRefused):
            await self.get(hosts=("other.example",))
        self.assertEqual((await self.get(hosts=(".example",))).status, 200)
        await self.failure(denied_networks=("127.0.0.0/30",))


class LimitTests(OutboundTestCase):
    async def gone(self) -> None:
        """Wait until no connection is left."""
        for peer in self.factory.peers:
            await peer.lost

    async def test_body_too_large(self) -> None:
        """A body over the limit is cut, announced, in chunks, or until the connection ends."""
        self.listen()
        head = b"HTTP/1.1 200 OK\r\n"
        for answer in (
            head + b"Content-Length: 2000\r\n\r\n" + b"x" * 2000,
            head + b"Transfer-Encoding: chunked\r\n\r\n" + (b"64\r\n" + b"x" * 100 + b"\r\n") * 20,
            head + b"\r\n" + b"x" * 2000,
        ):
            self.answer = answer
            self.assertEqual(await self.failure(body_max_bytes=1000), UNREACHABLE)
        await self.gone()

    async def test_headers_too_large(self) -> None:
        """Endless headers are cut, whatever they are made of."""
        self.listen()
        for line in (b"X-A: " + b"x" * 200 + b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"):
            begin = b"" if line.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n"
            self.answer = begin + line * (400_000 // len(line))
            self.assertEqual(await self.failure(headers_max_bytes=1024), UNREACHABLE)
        await self.gone()

    async def test_silence(self) -> None:
        """Silence ends at the limit: before headers, within a body, and one byte at a time."""
        self.listen()
        for answer in (b"", OK[:-2], b"HTTP/1.1 200 OK\r\nX"):
            self.answer = answer
            self.assertEqual(await self.failure(total_limit_seconds=0.1), UNREACHABLE)

        def drip(peer) -> None:
            dripping = LoopingCall(peer.transport.write, b"x")
            dripping.start(0.02)
            peer.lost.addBoth(lambda _: dripping.stop())

        self.factory.answer = drip
        self.assertEqual(await self.failure(total_limit_seconds=0.1), UNREACHABLE)
        await self.gone()

    async def test_packed(self) -> None:
        """Nothing is unpacked: a packed answer is none."""
        self.listen()
        packed = gzip.compress(b"x" * 100_000)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n"
        self.answer = head.encode() + packed
        self.assertEqual(await self.failure(), UNREACHABLE)

    async def test_garbage(self) -> None:
        """What is no HTTP, or is cut, is unreachable, not an error of ours."""
        self.listen()
        for answer in (b"\x00" * 100 + b"\r\n", b"HTTP/9 x\r\n\r\n", OK[:-1], b"\r\n\r\n"):
            self.answer = answer
            self.factory.answer = lambda peer: (
                peer.transport.write(self.answer),
                peer.transport.loseConnection(),
            )
            self.assertEqual(await self.failure(), UNREACHABLE)

    async def test_many(self) -> None:
        """So many are asked at once, so many wait, the next is a 503; places come free."""
        self.listen()
        self.answer = b""
        client = self.client(requests_max=2, waiting_max=1, total_limit_seconds=5)
        url = f"http://{NAME}:{self.port}/"
        first = [Deferred.fromCoroutine(client.fetch("GET", url)) for _ in range(3)]
        while len(self.factory.peers) < 2:
            await deferLater(reactor, 0.01)
        with self.assertRaises(ServiceUnavailable):
            await client.fetch("GET", url)
        self.answer = OK
        for peer in list(self.factory.peers):
            peer.transport.write(OK)
        for each in first:
            self.assertEqual((await each).status, 200)
        self.assertEqual((await client.fetch("GET", url)).status, 200)

    async def test_waited_too_long(self) -> None:
        """Who waits for a place longer than a request may take gets a 503, and a place that comes
        free later is not lost."""
        self.listen()
        self.answer = b""
        client = self.client(requests_max=1, waiting_max=5, total_limit_seconds=0.2)
        url = f"http://{NAME}:{self.port}/"
        first = Deferred.fromCoroutine(client.fetch("GET", url))
        await deferLater(reactor, 0.1)
        second = Deferred.fromCoroutine(client.fetch("GET", url))
        for each in (first, second):
            with self.assertRaises(Fault):
                await each
        self.answer = OK
        self.assertEqual((await client.fetch("GET", url)).status, 200)


class TlsTests(OutboundTestCase):
    def serve(self, *names: str):
        """A server with a certificate for ``names``; the trust in it. SNI is kept."""
        files = self_signed(datetime.now(UTC), names[0], names)
        pair = PrivateCertificate.loadPEM(files.certificate_pem + files.key_pem)
        options = pair.options()
        self.server_names: list[bytes | None] = []
        context: SSL.Context = options.getContext()
        context.set_tlsext_servername_callback(
            lambda connection: self.server_names.append(connection.get_servername())
        )
        self.listen(options)
        return trustRootFromCertificates([Certificate.loadPEM(files.certificate_pem)])

    async def get_tls(self, host: str, trust_root) -> Fetched:
        return await self.client(trust_root).fetch("GET", f"https://{host}:{self.port}/")

    async def test_verified(self) -> None:
        """TLS asks for the name and verifies it, though the address is what is connected to."""
        trust = self.serve(NAME)
        self.assertEqual((await self.get_tls(f"{NAME}.", trust)).body, b"hello")
        self.assertEqual(self.server_names, [NAME.encode()])

    async def test_wrong_name(self) -> None:
        """A trusted certificate of another name is refused; nothing was sent."""
        trust = self.serve("other.example")
        with self.assertRaises(Unreachable):
            await self.get_tls(NAME, trust)
        self.assertEqual([peer.received for peer in self.factory.peers if peer.received], [])

    async def test_untrusted(self) -> None:
        """A certificate of nobody is refused."""
        self.serve(NAME)
        with self.assertRaises(Unreachable):
            await self.get_tls(NAME, None)

    async def test_plain_answer(self) -> None:
        """A peer that speaks no TLS is refused."""
        self.listen()
        client = self.client(total_limit_seconds=0.2)
        with self.assertRaises(Unreachable):
            await client.fetch("GET", f"https://{NAME}:{self.port}/")


class ResolverTests(TestCase):
    async def test_system(self) -> None:
        """This machine's resolver gives addresses, and none for what is no name."""
        resolve = system_resolver(InPlace())
        self.assertIn(ip_address("127.0.0.1"), await resolve("localhost"))
        self.assertEqual(await resolve("a" * 300), [])
