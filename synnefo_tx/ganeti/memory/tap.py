"""``twistd synnefo-memory-ganeti``: a cluster in memory as a service, with its state in a folder.

The folder holds the certificate, the RAPI user, the journal, and ``rapi.json``, which tells how to
reach the cluster. It survives SIGKILL as a cluster survives a power cut.
"""

# mypy: disallow-untyped-calls=False
# (twisted.application.service is not annotated)
from __future__ import annotations

import datetime
import fcntl
import json
import os
import random
import secrets
from pathlib import Path
from typing import Any

import treq
from attrs import frozen
from treq.client import HTTPClient
from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import IService, MultiService, Service
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.ssl import PrivateCertificate
from twisted.logger import Logger
from twisted.python import usage
from twisted.web.client import Agent

from synnefo_tx.ganeti.memory.certificate import self_signed
from synnefo_tx.ganeti.memory.config import ClusterConfig, NodeConfig
from synnefo_tx.ganeti.memory.jobfiles import JobFiles
from synnefo_tx.ganeti.memory.journal import Journal
from synnefo_tx.ganeti.memory.screens import Screens, port_is_free
from synnefo_tx.ganeti.memory.server import MemoryGaneti
from synnefo_tx.ganeti.memory.store import Store
from synnefo_tx.ganeti.tls import canonical_fingerprint

PARAMETERS_MAX_BYTES = 1024 * 1024


class Options(usage.Options):
    """Command line of the plugin."""

    optParameters = [
        ["port", None, 5080, "port of RAPI", int],
        ["interface", None, "127.0.0.1", "address that RAPI and the screens listen on"],
        ["state", None, None, "folder that keeps the cluster's state (made if absent)"],
        ["name", None, "memory.example", "name of the cluster"],
        ["nodes", None, 2, "number of nodes", int],
        ["memory-mib", None, 65536, "memory of each node", int],
        ["disk-mib", None, 1048576, "disk of each node", int],
        ["job-seconds", None, 1.0, "what an ordinary job takes", float],
        ["mac-prefix", None, "aa:00:00", "first half of the MAC addresses"],
        ["node-files", None, None, "folder for job queue and ssconf, as on a Ganeti master"],
        ["screen-port", None, 11000, "lowest port of a screen", int],
    ]

    def postOptions(self) -> None:
        """Refuse what cannot work."""
        if not self["state"]:
            raise usage.UsageError("--state FOLDER is needed")
        if self["nodes"] < 1 or self["job-seconds"] < 0:
            raise usage.UsageError("--nodes and --job-seconds must be positive")


@frozen
class Identity:
    """What a cluster is known by, made at its first start."""

    username: str
    password: str
    certificate: PrivateCertificate

    @property
    def fingerprint(self) -> str:
        """SHA-256 fingerprint of the certificate."""
        return canonical_fingerprint(self.certificate.digest("sha256").decode())


def write_private(path: Path, content: bytes) -> None:
    """Replace the file at once; nobody else may read it."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)


def load_identity(folder: Path, now: datetime.datetime) -> Identity:
    """The cluster's identity, made and kept if there is none."""
    pem, users = folder / "server.pem", folder / "users"
    if not pem.exists():
        files = self_signed(now)
        write_private(pem, files.key_pem + files.certificate_pem)
    if not users.exists():
        write_private(users, f"synnefo {secrets.token_urlsafe(24)} write\n".encode())
    username, password, _ = users.read_text().split()
    return Identity(username, password, PrivateCertificate.loadPEM(pem.read_bytes()))


class FolderInUse(Exception):
    """Another process runs a cluster on this folder."""


def lock_folder(folder: Path) -> int:
    """Hold the folder for this process; the lock ends with it. Raises FolderInUse."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as held:
        os.close(descriptor)
        raise FolderInUse(f"{folder} is in use by another cluster") from held
    return descriptor


class ClusterService(Service):
    """Writes ``rapi.json`` when RAPI listens, ends the jobs' work at the end."""

    log = Logger()

    def __init__(
        self, folder: Path, identity: Identity, options: Options, ganeti: MemoryGaneti
    ) -> None:
        self._folder, self._identity, self._options = folder, identity, options
        self._ganeti = ganeti

    def startService(self) -> None:
        super().startService()
        host, port = self._options["interface"], self._options["port"]
        access = {
            "url": f"https://{host}:{port}/2",
            "host": host,
            "port": port,
            "name": self._options["name"],
            "username": self._identity.username,
            "password": self._identity.password,
            "fingerprint": self._identity.fingerprint,
        }
        write_private(self._folder / "rapi.json", json.dumps(access, indent=1).encode())
        self.log.info(
            "RAPI of {name} at {url}, certificate {fingerprint}",
            name=access["name"],
            url=access["url"],
            fingerprint=access["fingerprint"],
        )

    def stopService(self) -> None:
        super().stopService()
        self._ganeti.stop()


class FolderService(Service):
    """Holds the folder's lock and its journal while the cluster lives."""

    def __init__(self, lock: int, journal: Journal) -> None:
        self._lock, self._journal = lock, journal

    def stopService(self) -> None:
        super().stopService()
        self._journal.close()
        os.close(self._lock)


def makeService(options: Options) -> IService:
    """The whole cluster as a service. Raises FolderInUse and OSError."""
    from twisted.internet import reactor

    folder = Path(options["state"])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    service = MultiService()
    lock = lock_folder(folder)
    now = datetime.datetime.now(datetime.UTC)
    identity, store = load_identity(folder, now), Store()
    journal = Journal(folder / "journal", store)
    ganeti = _cluster(reactor, options, identity, store)
    if options["node-files"]:
        files = JobFiles(Path(options["node-files"]), options["name"], f"node1.{options['name']}")
        for job in store.jobs.values():
            files.write(job)
        ganeti.jobs.watch(files.write)
    endpoint = SSL4ServerEndpoint(
        reactor, options["port"], identity.certificate.options(), interface=options["interface"]
    )
    for part in (
        FolderService(lock, journal),
        ClusterService(folder, identity, options, ganeti),
        Screens(reactor, ganeti.cluster, options["interface"]),
        StreamServerEndpointService(endpoint, ganeti.site),
    ):
        part.setServiceParent(service)
    return service


def _cluster(reactor: Any, options: Options, identity: Identity, store: Store) -> MemoryGaneti:
    interface, name = options["interface"], options["name"]
    nodes = tuple(
        NodeConfig(
            f"node{number}.{name}", options["memory-mib"], options["disk-mib"], pip=interface
        )
        for number in range(1, options["nodes"] + 1)
    )
    http = HTTPClient(Agent(reactor, connectTimeout=10))

    async def fetch(url: str) -> bytes:
        response = await http.get(url, allow_redirects=False, unbuffered=True)
        pieces: list[bytes] = []

        def collect(piece: bytes) -> None:
            pieces.append(piece)
            if sum(map(len, pieces)) > PARAMETERS_MAX_BYTES:
                raise ValueError("the parameters are too long")

        await treq.collect(response, collect)
        if response.code != 200:
            raise ValueError(f"status {response.code}")
        return b"".join(pieces)

    return MemoryGaneti(
        reactor,
        random.SystemRandom(),
        config=ClusterConfig(
            name=name,
            nodes=nodes,
            mac_prefix=options["mac-prefix"],
            first_port=options["screen-port"],
            job_seconds=options["job-seconds"],
        ),
        username=identity.username,
        password=identity.password,
        fetch=fetch,
        store=store,
        port_is_free=lambda port: port_is_free(interface, port),
    )
