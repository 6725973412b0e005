"""Handing mails to a real mail server, and to a folder."""

from __future__ import annotations

import asyncio
import logging
import ssl
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.protocols.basic import FileSender
from twisted.trial.unittest import TestCase

from synnefo_tx.ganeti.memory.certificate import self_signed
from synnefo_tx.mail import rules
from synnefo_tx.mail.carriers import FileCarrier, SmtpCarrier, carrier_of
from synnefo_tx.mail.model import Content, NotSent, Refused
from synnefo_tx.settings import MailSettings, SettingsError
from tests.mail.test_rules import MAIL
from tests.support.accounts import InPlace


def message_of(text: str) -> bytes:
    """The message that says a text."""
    return rules.message_of(MAIL, Content("Hello", text), "Cloud", "noreply@cloud.example")


MESSAGE = message_of("one\n.\n..two\nthree é\n")


class Handler:
    """Keeps what it is given; answers as it is told."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.recipient_answer = self.data_answer = ""
        self.was_tls: list[bool] = []

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.recipient_answer:
            return self.recipient_answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if self.data_answer:
            return self.data_answer
        self.taken.append(envelope.content)
        self.was_tls.append(session.ssl is not None)
        return "250 taken"


class SmtpTests(TestCase):
    """Against aiosmtpd, in a thread of its own."""

    timeout = 30

    def setUp(self) -> None:
        # It tells of every connection that we cut.
        log = logging.getLogger("mail.log")
        log.setLevel(logging.CRITICAL)
        self.addCleanup(log.setLevel, logging.NOTSET)

    def serve(self, *, name: str = "localhost", tls: bool = True, **options) -> None:
        self.handler = Handler()
        files = self_signed(datetime.now(UTC), name, (name,))
        context = None
        if tls:
            folder = Path(self.mktemp())
            folder.mkdir()
            (folder / "cert.pem").write_bytes(files.certificate_pem)
            (folder / "key.pem").write_bytes(files.key_pem)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        options |= {"tls_context": context, "require_starttls": tls}
        self.port = self.run_server(lambda loop: SMTP(self.handler, loop=loop, **options))
        self.trust = trustRootFromCertificates([Certificate.loadPEM(files.certificate_pem)])

    def run_server(self, protocol) -> int:
        """Serve in a thread until the test is over; the port."""
        loop = asyncio.new_event_loop()
        making = loop.create_server(lambda: protocol(loop), "127.0.0.1", 0)
        server = loop.run_until_complete(making)
        thread = threading.Thread(target=loop.run_forever)
        thread.start()

        def stop() -> None:
            loop.call_soon_threadsafe(server.close)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()

        self.addCleanup(stop)
        return server.sockets[0].getsockname()[1]

    def carrier(self, **changes) -> SmtpCarrier:
        own = MailSettings(
            smtp_host="localhost", smtp_port=self.port, sender_address="noreply@cloud.example",
            total_limit_seconds=5.0,
        )  # fmt: skip
        return SmtpCarrier(evolve(own, **changes), reactor, self.trust)

    async def refused(self, kind: type[Exception], **changes) -> str:
        with self.assertRaises(kind) as caught:
            await self.carrier(**changes).carry("ann@example.org", MESSAGE)
        self.assertEqual(self.handler.taken, [])
        return str(caught.exception)

    async def test_taken(self) -> None:
        """The server has every byte of the message, within TLS; lines of dots too."""
        self.serve()
        await self.carrier().carry("ann@example.org", MESSAGE)
        (taken,) = self.handler.taken
        self.assertEqual(taken, MESSAGE.replace(b"\n", b"\r\n"))
        self.assertEqual(self.handler.was_tls, [True])

    async def test_dot_after_a_piece(self) -> None:
        """A line of one dot ends nothing, wherever the pieces end in which a message is handed
        over: what follows it is text, and never taken for commands of ours."""
        self.serve()
        slipped = "\n.\nMAIL FROM:<x@example.org>\n"
        empty = message_of(slipped)
        before = FileSender.CHUNK_SIZE - empty.index(b"\n.\n") - 1
        lines = "y" * (before % 60) + ("\n" + "x" * 59) * (before // 60)
        message = message_of(lines + slipped)
        self.assertEqual(message.index(b"\n.\n"), FileSender.CHUNK_SIZE - 1)
        await self.carrier().carry("ann@example.org", message)
        self.assertEqual(self.handler.taken, [message.replace(b"\n", b"\r\n")])

    async def test_wrong_name(self) -> None:
        """A trusted certificate of another name is refused, and nothing is handed over."""
        self.serve(name="other.example")
        await self.refused(NotSent)

    async def test_untrusted(self) -> None:
        """A certificate of nobody is refused."""
        self.serve()
        self.trust = None
        await self.refused(NotSent)

    async def test_no_tls(self) -> None:
        """A server that does not offer STARTTLS gets nothing, unless the settings allow it for this
        machine."""
        self.serve(tls=False)
        await self.refused(NotSent)
        await self.carrier(plain_allowed=True).carry("ann@example.org", MESSAGE)
        self.assertEqual(self.handler.was_tls, [False])

    async def test_user(self) -> None:
        """A user and password are given within TLS; wrong ones are no reason to give a mail up,
        and are not told."""
        seen = []

        def authenticate(server, session, envelope, mechanism, data):
            seen.append((session.ssl is not None, data.login, data.password))
            return AuthResult(success=data.password == b"right-secret")

        self.serve(authenticator=authenticate, auth_required=True)
        user = {"smtp_user": "cloud", "smtp_password": "wrong-secret"}
        text = await self.refused(NotSent, **user)
        self.assertNotIn("wrong-secret", text)
        await self.carrier(**user | {"smtp_password": "right-secret"}).carry("a@b.org", MESSAGE)
        self.assertEqual(len(self.handler.taken), 1)
        self.assertIn((True, b"cloud", b"right-secret"), seen)

    async def test_answers(self) -> None:
        """5xx of recipient or mail is for good, 4xx for now."""
        self.serve()
        for answer, kind in (("550 no such user", Refused), ("450 busy", NotSent)):
            self.handler.recipient_answer, self.handler.data_answer = answer, ""
            self.assertIn(answer[:3], await self.refused(kind))
            self.handler.recipient_answer, self.handler.data_answer = "", answer
            self.assertIn(answer[:3], await self.refused(kind))

    async def test_nobody(self) -> None:
        """No server, and one that says nothing, is for now; silence ends at the limit."""
        factory = Factory.forProtocol(Protocol)
        factory.noisy = False
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.port, self.trust, self.handler = port.getHost().port, None, Handler()
        await self.refused(NotSent, total_limit_seconds=0.1)
        await port.stopListening()
        await self.refused(NotSent)

    async def test_said_before_tls(self) -> None:
        """What is slipped in before TLS begins is not taken for said within it."""

        class Slipping(Protocol):
            def connectionMade(self) -> None:
                self.transport.write(b"220 x\r\n")

            def dataReceived(self, data: bytes) -> None:
                if data.startswith(b"EHLO"):
                    self.transport.write(b"250-x\r\n250 STARTTLS\r\n")
                elif data.startswith(b"STARTTLS"):
                    self.transport.write(b"220 go\r\n250-x\r\n250 AUTH PLAIN\r\n")

        factory = Factory.forProtocol(Slipping)
        factory.noisy = False
        port = reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.port, self.trust, self.handler = port.getHost().port, None, Handler()
        self.assertIn("TLS", await self.refused(NotSent))


class FileTests(TestCase):
    async def test_written(self) -> None:
        """A mail is a file for its owner's eyes; the same mail again is the same file; nothing
        unfinished is left."""
        folder = Path(self.mktemp()) / "mails"
        carrier = FileCarrier(folder, InPlace())
        for _ in range(2):
            await carrier.carry("ann@example.org", MESSAGE)
        (path,) = folder.iterdir()
        self.assertEqual(path.name, "7.20261121093000000000.eml")
        self.assertEqual(path.read_bytes(), MESSAGE)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)

    async def test_no_folder(self) -> None:
        """Where nothing can be written it is tried again."""
        with self.assertRaises(NotSent):
            await FileCarrier(Path("/proc/mails"), InPlace()).carry("ann@example.org", MESSAGE)

    def test_settings(self) -> None:
        """Without a server mails are files; without TLS a server is on this machine; an authority
        that cannot be read is told."""
        home = Path(self.mktemp())
        made = carrier_of(home, MailSettings(), reactor, InPlace())
        self.assertIsInstance(made, FileCarrier)
        for wrong in (
            MailSettings(smtp_host="mail.example", plain_allowed=True),
            MailSettings(smtp_host="mail.example", ca_file="/nowhere"),
        ):
            with self.assertRaises(SettingsError):
                carrier_of(home, wrong, reactor, InPlace())
