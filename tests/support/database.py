"""A PostgreSQL of the tests' own: one server per test process, one migrated template, one clone
per test."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg2
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from synnefo_tx.db.connect import connector
from synnefo_tx.db.embedded import START_LIMIT_SECONDS, Server
from synnefo_tx.db.migrate import migrate
from synnefo_tx.db.pool import Database, PoolLimits
from synnefo_tx.settings import DatabaseSettings

TEMPLATE = "template_synnefo"
MEMORY, MEMORY_MIN_BYTES = "/dev/shm", 1024**3
CLOSE_LOOKS, CLOSE_LOOK_SECONDS = 200, 0.01
_names = itertools.count()


def connect_when_ready(url: str, process: subprocess.Popen[bytes], limit_seconds: float):
    """A blocking connection to a server that has just been started."""
    deadline = time.monotonic() + limit_seconds
    while True:
        try:
            return psycopg2.connect(url)
        except psycopg2.OperationalError:
            if time.monotonic() > deadline or process.poll() is not None:
                raise
            time.sleep(0.02)


def _memory() -> str | None:
    """A folder in memory if there is room, else None: a clone is a thousand small files, which take
    a disk ten times as long."""
    try:
        room = os.statvfs(MEMORY)
    except OSError:
        return None
    return MEMORY if room.f_bavail * room.f_frsize >= MEMORY_MIN_BYTES else None


class TestServer:
    """The server of this test process; made at the first use, ended with the process."""

    _running: TestServer | None = None

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="synnefo-test-", dir=_memory()))
        self.server = Server(self.folder / "pg", durable=False)
        self.server.prepare()
        self.process = subprocess.Popen(self.server.command(), stderr=subprocess.DEVNULL)
        atexit.register(self.end)
        self.admin = connect_when_ready(
            self.server.url_of("postgres"), self.process, START_LIMIT_SECONDS
        )
        self.admin.autocommit = True
        self.has_template = False

    @classmethod
    def get(cls) -> TestServer:
        if cls._running is None:
            cls._running = cls()
        return cls._running

    def execute(self, sql: str) -> None:
        with self.admin.cursor() as cursor:
            cursor.execute(sql)

    def end(self) -> None:
        self.admin.close()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=20)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def template(self) -> None:
        """Make the migrated template that clones are taken from."""
        if self.has_template:
            return
        self.execute(f"CREATE DATABASE {TEMPLATE}")
        database = open_database(self.server.url_of(TEMPLATE))
        await migrate(database)
        await database.close()
        self.has_template = True

    def clone(self, template: str = TEMPLATE) -> str:
        """The URI of a new database like ``template``."""
        name = f"test_{os.getpid()}_{next(_names)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.server.url_of(name)

    def drop(self, url: str) -> None:
        name = url.split("@/")[1].split("?")[0]
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def open_database(url: str, *, statement_limit_seconds: float = 10.0, **limits: float) -> Database:
    """A pool on ``url`` on the real reactor; the server ends a statement at its limit."""
    settings = DatabaseSettings(statement_limit_seconds=statement_limit_seconds)
    return Database(connector(reactor, url, settings), reactor, PoolLimits(**limits))


class DatabaseTestCase(TestCase):
    """A test with ``self.database``, a fresh clone of the migrated template."""

    timeout = 60
    limits: dict[str, float] = {}

    async def setUp(self) -> None:
        server = TestServer.get()
        await server.template()
        self.url = server.clone()
        self.database = open_database(self.url, **self.limits)
        self.addCleanup(server.drop, self.url)
        self.addCleanup(self._close)

    async def _close(self) -> None:
        """Close the pool, and wait for what still runs on it: it would outlive the test."""
        await self.database.close()
        for _ in range(CLOSE_LOOKS):
            if not self.database.open_count:
                return
            await deferLater(reactor, CLOSE_LOOK_SECONDS)
