"""A server that takes connections and says nothing."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable

from psycopg2.extensions import make_dsn, parse_dsn
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import UNIXClientEndpoint, UNIXServerEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.python import log

from tests.support.database import DatabaseTestCase, open_database

RUNNING = """
SELECT pid FROM pg_stat_activity
WHERE state <> 'idle' AND query LIKE %(like)s AND pid <> pg_backend_pid()
"""


class _Relay(Protocol):
    """One side of a connection through a ``Gateway``."""

    other: Protocol | None = None

    def __init__(self, answered: Callable[[bytes], bool]) -> None:
        self._answered = answered
        self._early = b""

    def join(self, other: Protocol) -> None:
        self.other = other
        other.transport.write(self._early)

    def dataReceived(self, data: bytes) -> None:
        if not self._answered(data):
            return
        if self.other is None:
            self._early += data
        else:
            self.other.transport.write(data)

    def connectionLost(self, reason=None) -> None:
        if self.other is not None:
            self.other.transport.loseConnection()


class Gateway(Factory):
    """Stands before PostgreSQL's socket, and may take connections without answering."""

    noisy = False

    def __init__(self, server: str) -> None:
        self.server = server
        self.is_mute = False
        self.count = 0

    def buildProtocol(self, address) -> Protocol:
        self.count += 1
        front = _Relay(lambda data: not self.is_mute)
        Deferred.fromCoroutine(self._connect(front)).addErrback(log.err)
        return front

    async def _connect(self, front: _Relay) -> None:
        endpoint = UNIXClientEndpoint(reactor, self.server)
        back = await connectProtocol(endpoint, _Relay(lambda data: not self.is_mute))
        back.other = front
        front.join(back)


class UnreachableServerTests(DatabaseTestCase):
    async def test_cancelled_task(self) -> None:
        """A task cancelled while the server is out of reach asks nothing more of it: waiting for
        an answer would hold up the whole process."""
        folder = tempfile.mkdtemp(prefix="syn-gw-")
        self.addCleanup(shutil.rmtree, folder)
        server = parse_dsn(self.url)
        gateway = Gateway(f"{server['host']}/.s.PGSQL.5432")
        port = await UNIXServerEndpoint(reactor, f"{folder}/.s.PGSQL.5432").listen(gateway)
        self.addCleanup(port.stopListening)
        database = open_database(make_dsn(self.url, host=folder))
        self.addCleanup(lambda: Deferred.fromCoroutine(database.close()))
        task = Deferred.fromCoroutine(database.read("SELECT pg_sleep(20) /* out of reach */"))
        await deferLater(reactor, 0.2)
        gateway.is_mute = True
        task.cancel()
        with self.assertRaises(CancelledError):
            await task
        self.assertEqual((database.open_count, gateway.count), (0, 1))
        gateway.is_mute = False
        self.assertEqual(await database.read("SELECT 1"), [(1,)])
        deadline = reactor.seconds() + 5
        while await self.database.read(RUNNING, {"like": "%out of reach%"}):
            self.assertLess(reactor.seconds(), deadline)
            await deferLater(reactor, 0.05)
