"""The cloud that is measured: ``twistd synnefo`` and a cluster in memory, each a process."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor

from synnefo_tx.caller import OPERATOR, Caller
from synnefo_tx.cli.context import opened
from synnefo_tx.ganeti.backends.operations import Registration
from synnefo_tx.identity.projects.store import ProjectStore
from tests.support.http import request
from tests.support.identity import make_user
from tests.support.processes import CloudProcess, Twistd, free_ports, until

reactor: Any = _reactor
IMAGE = "5d1c1f3a-7c1e-4f0e-9d5e-6b1f4d0a2c11"
ENOUGH = 1_000_000
STOP_SECONDS = 20.0
WAIT_SECONDS = 120.0
CHANGES = {
    "COMPUTE__VCPU_RATIO_MAX": "1000000",
    "GANETI__IDLE_POLL_SECONDS": "3600",
    "GANETI__LISTING_SECONDS": "3600",
    "GANETI__STATS_REFRESH_SECONDS": "3600",
}


class BenchCloud:
    """A cloud with one user without limits; ``user`` may have servers made."""

    def __init__(self, job_seconds: float, changes: dict[str, str] | None = None) -> None:
        # PostgreSQL's socket needs a short path.
        self.folder = Path(tempfile.mkdtemp(prefix="synnefo-bench-"))
        self.cloud = CloudProcess(self.folder / "home", CHANGES | (changes or {}))
        (port,) = free_ports(1)
        self.state = self.folder / "ganeti"
        self.cluster = Twistd(
            {"SYNNEFO_HOME": str(self.folder)},
            "--logger", "synnefo_tx.log.ganeti_file", "synnefo-memory-ganeti", "--port", str(port),
            "--state", str(self.state), "--job-seconds", str(job_seconds),
            "--memory-mib", "1048576", "--disk-mib", "104857600",
        )  # fmt: skip
        self.peers: list[subprocess.Popen[bytes]] = []

    async def start(self) -> None:
        """Start both, and fill them."""
        self.cluster.start()
        await self.cloud.start_ready()
        access = self.state / "rapi.json"

        async def serves() -> bool:
            return access.exists()

        await until(serves, WAIT_SECONDS, "the cluster serves")
        self.rapi = json.loads(access.read_text())
        async with self.application() as app:
            await self._fill(app)

    def application(self) -> Any:
        """The application's objects beside the service."""
        return opened(self.cloud.settings, reactor, needs_schema=True)

    async def _fill(self, app: Any) -> None:
        rapi, compute, backends = self.rapi, app.compute, app.ganeti.backends
        wanted = Registration(
            rapi["name"], rapi["host"], rapi["port"], rapi["username"], rapi["password"],
            fingerprint=rapi["fingerprint"], hypervisor="fake",
        )  # fmt: skip
        self.backend = await backends.add(wanted)
        await backends.modify(self.backend, {"drained": False})
        await backends.refresh(self.backend)
        kind = await compute.flavors.create_type("file", "file")
        (self.flavor,) = await compute.flavors.create([1], [128], [1], [kind])
        await compute.images.register(
            IMAGE, "Debian", "system", "pithosmap://x/1", {"osfamily": "linux"}, size_bytes=1
        )
        public = await compute.networks.create_public(OPERATOR, "Public", "CUSTOM", None)
        await compute.networks.add_subnet(OPERATOR, public.id, "198.18.0.0/16")
        self.caller, self.token = await self.make_user(app, "bench@example.org")
        own = await compute.networks.create_private(self.caller, "own", "MAC_FILTERED", None)
        await compute.networks.add_subnet(self.caller, own.id, "192.168.0.0/22")
        self.private = own.id

    async def make_user(self, app: Any, email: str) -> tuple[Caller, str]:
        """A user without limits, and their token."""
        user = await make_user(app.database, email)
        async with app.database.transaction("bench-user") as tx:
            token = (await app.identity.tokens.issue(tx, user, "bench")).secret
            for resource in ("vm", "cpu", "ram", "disk", "total_cpu", "total_ram"):
                await ProjectStore(tx).set_limits(
                    user, f"cyclades.{resource}", ENOUGH * 2**30, ENOUGH * 2**30
                )
        return Caller(user=user, projects=(user,), default_project=user), token

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The document that the API answers; raises unless it is 2xx."""
        answer = await request(self.cloud.url, method, path, body, token=self.token)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return answer.json

    @property
    def processes(self) -> list[int]:
        """The service, PostgreSQL below it; not the cluster."""
        assert self.cloud.child is not None
        return [self.cloud.child.process.pid]

    @property
    def postgres(self) -> int:
        """PostgreSQL's first process."""
        pid_file = self.folder / "home" / "postgresql" / "postmaster.pid"
        return int(pid_file.read_text().splitlines()[0])

    async def start_peer(self, command: list[str], environ: dict[str, str], port: int) -> int:
        """Start a peer that listens on ``port``; its process."""
        peer = self._spawn(command, environ)

        async def serves() -> bool:
            try:
                await request(f"http://127.0.0.1:{port}", "GET", "/")
            except Exception:
                if peer.poll() is not None:
                    raise
                return False
            return True

        await until(serves, WAIT_SECONDS, f"{command[0]} serves")
        return peer.pid

    def _spawn(self, command: list[str], environ: dict[str, str]) -> subprocess.Popen[bytes]:
        peer = subprocess.Popen(command, env=environ, stderr=subprocess.DEVNULL)
        self.peers.append(peer)
        return peer

    def start_worker(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a peer that is spoken to by its standard input and output."""
        peer = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.peers.append(peer)
        return peer

    async def end(self) -> None:
        """Stop everything that was started."""
        for peer in self.peers:
            if peer.stdin is None:
                peer.terminate()
            else:
                peer.stdin.close()
            try:
                peer.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                peer.kill()
                peer.wait()
        await self.cloud.end()
        await self.cluster.end()
        shutil.rmtree(self.folder, ignore_errors=True)
