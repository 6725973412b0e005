"""Which PostgreSQL a process speaks to."""

from __future__ import annotations

import datetime
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.db.address import verified
from synnefo_tx.ganeti.memory.certificate import self_signed

LIMIT_SECONDS = 5


class VerifiedTests(SynchronousTestCase):
    def test_here(self) -> None:
        """What stays on this machine is left as it is."""
        for url in (
            "postgresql://u@/d?host=/run/postgresql",
            "postgresql://u@localhost/d",
            "postgresql://u@127.0.0.1:5433/d?sslmode=disable",
            "postgresql://u@[::1]/d",
        ):
            self.assertEqual(verified(url), url)

    def test_elsewhere(self) -> None:
        """Another machine is reached with TLS that verifies its name, without being asked to."""
        parts = parse_dsn(verified("postgresql://u:p@db.example.org/d"))
        self.assertEqual((parts["sslmode"], parts["sslrootcert"]), ("verify-full", "system"))
        own = "postgresql://u@one.example,two.example/d?sslrootcert=/etc/ca.pem"
        parts = parse_dsn(verified(own))
        self.assertEqual((parts["sslmode"], parts["sslrootcert"]), ("verify-full", "/etc/ca.pem"))
        self.assertEqual(parts["host"], "one.example,two.example")

    def test_less(self) -> None:
        """Less than that is refused, with the host's name; so is what is no URI."""
        for mode in ("disable", "prefer", "require", "verify-ca"):
            with self.assertRaisesRegex(ValueError, "db.example.org"):
                verified(f"postgresql://u@localhost,db.example.org/d?sslmode={mode}")
        with self.assertRaises(ValueError):
            verified("postgresql://u@h/d?nonsense=1")


class Server:
    """PostgreSQL's first steps, once: yes to TLS, then whatever comes is the start of a session."""

    def __init__(self, pem: Path) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(pem)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(LIMIT_SECONDS)
        self.port = self.listening.getsockname()[1]

    def serve(self) -> bytes:
        """What a client says after TLS; nothing when it goes away."""
        with self.listening, self.listening.accept()[0] as plain:
            plain.settimeout(LIMIT_SECONDS)
            plain.recv(8)
            plain.sendall(b"S")
            try:
                with self.context.wrap_socket(plain, server_side=True) as secured:
                    return secured.recv(1024)
            except OSError:
                return b""


class NameTests(SynchronousTestCase):
    """A server whose certificate is trusted, for some name."""

    def connect(self, name: str) -> tuple[str, bytes]:
        """The error of a connection to db.example.org, and what the server was told after TLS."""
        files = self_signed(datetime.datetime.now(datetime.UTC), alternative_names=(name,))
        pem = Path(self.mktemp()).absolute()
        pem.write_bytes(files.key_pem + files.certificate_pem)
        server = Server(pem)
        url = verified(f"postgresql://u:secret@db.example.org/d?sslrootcert={pem}")
        # The name is db.example.org, the address this machine's.
        dsn = make_dsn(url, hostaddr="127.0.0.1", port=server.port, connect_timeout=LIMIT_SECONDS)
        with ThreadPoolExecutor(1) as thread:
            told = thread.submit(server.serve)
            with self.assertRaises(psycopg2.OperationalError) as refused:
                psycopg2.connect(dsn)
            return str(refused.exception), told.result()

    def test_wrong_name(self) -> None:
        """A certificate of the right authority for another name is refused: nothing is told."""
        error, told = self.connect("other.example.org")
        self.assertIn("does not match host name", error)
        self.assertEqual(told, b"")

    def test_right_name(self) -> None:
        """The right name begins a session."""
        _, told = self.connect("db.example.org")
        self.assertIn(b"user\0u\0", told)
