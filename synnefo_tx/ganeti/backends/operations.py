"""Clusters: their clients, taking one on, reading their figures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from attrs import evolve, field, frozen
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IAgent

from synnefo_tx.authorities import read_authorities
from synnefo_tx.db.pool import Database, Transaction, UniqueViolation
from synnefo_tx.faults import BadRequest, Conflict, ServiceUnavailable
from synnefo_tx.ganeti.backends import rules
from synnefo_tx.ganeti.backends.model import Backend
from synnefo_tx.ganeti.backends.store import BackendStore, all_backends
from synnefo_tx.ganeti.rapi import (
    ClusterEndpoint,
    Json,
    Limits,
    Rapi,
    RapiError,
    RapiFailure,
    RapiRefused,
    TreqRapi,
)
from synnefo_tx.ganeti.tls import canonical_fingerprint, fetch_fingerprint
from synnefo_tx.journal.record import record
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.rotation import SealedColumn
from synnefo_tx.settings import Ganeti

AgentFor = Callable[[ClusterEndpoint], IAgent]
PASSWORD_PURPOSE = "rapi-password"  # noqa: S105 (names what is sealed, is no password)
SEALED = SealedColumn("backends", ("id",), "password_sealed", lambda id: PASSWORD_PURPOSE)
NOW = "SELECT synnefo_now()"
PORT_MAX = 65535


@frozen
class Registration:
    """What an operator says of a new cluster; exactly one of ``ca_pem`` and ``fingerprint``."""

    clustername: str
    host: str
    port: int
    username: str
    password: str = field(repr=False)
    ca_pem: str | None = field(default=None, repr=False)
    fingerprint: str | None = None
    hypervisor: str = "kvm"
    public: bool = True

    @property
    def endpoint(self) -> ClusterEndpoint:
        """Where the cluster answers."""
        return ClusterEndpoint(
            name=self.clustername,
            host=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            ca_pem=self.ca_pem,
            fingerprint_sha256=self.fingerprint,
        )


LEADS_TO_CLUSTER = frozenset(
    ("clustername", "host", "port", "username", "password", "ca_pem", "fingerprint")
)


def checked(wanted: Registration) -> Registration:
    """The registration with its fingerprint in the one spelling. Raises BadRequest."""
    if not 1 <= wanted.port <= PORT_MAX:
        raise BadRequest(f"port must be between 1 and {PORT_MAX}")
    if (wanted.ca_pem is None) == (wanted.fingerprint is None):
        raise BadRequest("a cluster is known either by its authority or by its fingerprint")
    try:
        if wanted.fingerprint is not None:
            return evolve(wanted, fingerprint=canonical_fingerprint(wanted.fingerprint))
        read_authorities(wanted.ca_pem or "")
    except ValueError as error:
        raise BadRequest(str(error)) from None
    return wanted


class Backends:
    """Gives each backend one client, and keeps what we know of the clusters fresh."""

    log = Logger()

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        agent_for: AgentFor,
        clock: IReactorTime,
        settings: Ganeti,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._agent_for = agent_for
        self._clock = clock
        self._limits = Limits(
            connections=settings.connections_max,
            timeout_seconds=settings.request_limit_seconds,
            wait_seconds=settings.request_limit_seconds,
            breaker_failures=settings.breaker_failures,
            breaker_cooldown_seconds=settings.breaker_rest_seconds,
        )
        self._clients: dict[int, tuple[ClusterEndpoint, Rapi]] = {}

    async def list(self) -> list[Backend]:
        """Every backend."""
        return await all_backends(self._database)

    async def get(self, id: int) -> Backend:
        """One backend; raises ItemNotFound."""
        async with self._database.transaction("backend-read") as tx:
            return await BackendStore(tx).get(id)

    async def rapi(self, backend: int) -> Rapi:
        """The client of a backend, made anew when its address or credentials changed.

        Raises RapiRefused for an unknown backend or one that is offline.
        """
        row = await self.get(backend)
        if row.offline:
            raise RapiRefused(f"{row.clustername} is marked offline")
        endpoint = (await self._registration(row)).endpoint
        known = self._clients.get(backend)
        if known is None or known[0] != endpoint:
            known = self._clients[backend] = (endpoint, self._client(endpoint))
        return known[1]

    def forget(self, backend: int) -> None:
        """The backend was removed: drop its client."""
        self._clients.pop(backend, None)

    def _client(self, endpoint: ClusterEndpoint) -> Rapi:
        return TreqRapi(self._agent_for(endpoint), endpoint, self._clock, self._limits)

    async def _registration(self, row: Backend) -> Registration:
        password = await self._keyring.open(row.password_sealed, PASSWORD_PURPOSE)
        return Registration(
            clustername=row.clustername,
            host=row.host,
            port=row.port,
            username=row.username,
            password=password.decode(),
            ca_pem=row.ca_pem,
            fingerprint=row.fingerprint,
            hypervisor=row.hypervisor,
            public=row.public,
        )

    async def fetch_fingerprint(self, host: str, port: int) -> str:
        """The fingerprint that a cluster shows now, for an operator to judge; raises
        ServiceUnavailable."""
        try:
            return await fetch_fingerprint(self._clock, host, port)
        except RapiFailure as error:
            raise ServiceUnavailable(str(error)) from error

    async def check(self, wanted: Registration) -> Json:
        """Read the cluster's own document with the given credentials.

        Raises BadRequest when they or the name are wrong, ServiceUnavailable when the cluster
        does not answer.
        """
        try:
            info = await self._client(checked(wanted).endpoint).info()
        except RapiError as error:
            raise BadRequest(f"{wanted.clustername} refused: {error.message}") from error
        except RapiFailure as error:
            raise ServiceUnavailable(f"{wanted.clustername} cannot be reached: {error}") from error
        if info.get("name") != wanted.clustername:
            raise BadRequest(
                f"the cluster calls itself {info.get('name')}, not {wanted.clustername}"
            )
        return info

    async def add(self, wanted: Registration) -> int:
        """Store a cluster, drained; its id. Raises BadRequest, or Conflict when there is one of
        that name."""
        wanted = checked(wanted)
        values: Mapping[str, Any] = {
            "clustername": wanted.clustername,
            "host": wanted.host,
            "port": wanted.port,
            "username": wanted.username,
            "password": wanted.password,
            "ca_pem": wanted.ca_pem,
            "fingerprint": wanted.fingerprint,
            "hypervisor": wanted.hypervisor,
            "public": wanted.public,
        }
        try:
            async with self._database.transaction("backend-add") as tx:
                id = await BackendStore(tx).insert(await self._sealed(tx, values))
                name = wanted.clustername
                await record(tx, "ganeti:backend:add", "backend", id, details=name)
                return id
        except UniqueViolation:
            raise Conflict(f"there is a backend {wanted.clustername} already") from None

    async def _sealed(self, tx: Transaction, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fields as they are stored: a plain ``password`` becomes a sealed one."""
        if "password" not in values:
            return values
        rest = {name: value for name, value in values.items() if name != "password"}
        password = str(values["password"]).encode()
        return rest | {"password_sealed": await self._keyring.seal(tx, password, PASSWORD_PURPOSE)}

    async def modify(self, id: int, changes: Mapping[str, Any]) -> Backend:
        """Change some fields of a backend, ``password`` plain; raises ItemNotFound."""
        async with self._database.transaction("backend-modify") as tx:
            await BackendStore(tx).get(id)
            await BackendStore(tx).modify(id, await self._sealed(tx, changes))
            names = ", ".join(sorted(changes))
            await record(tx, "ganeti:backend:modify", "backend", id, details=names)
            return await BackendStore(tx).get(id)

    async def reconfigure(self, id: int, changes: Mapping[str, Any]) -> Backend:
        """As ``modify``, but a fingerprint replaces an authority and the
        other way round, and what leads to the cluster is tried first unless it is offline.

        Raises ItemNotFound, Conflict, and as ``check``.
        """
        row = await self.get(id)
        if changes.keys() & {"ca_pem", "fingerprint"}:
            changes = {"ca_pem": None, "fingerprint": None, **changes}
        described = {name: value for name, value in changes.items() if name in LEADS_TO_CLUSTER}
        if described:
            wanted = checked(evolve(await self._registration(row), **described))
            if not changes.get("offline", row.offline):
                await self.check(wanted)
            changes = {
                **changes,
                "fingerprint": wanted.fingerprint,
                "password": wanted.password,
            }
        try:
            return await self.modify(id, changes)
        except UniqueViolation:
            name = changes["clustername"]
            raise Conflict(f"there is a backend {name} already") from None

    async def refresh(self, id: int) -> None:
        """Read a cluster's figures, templates, groups and node addresses; raises RapiFailure."""
        begun: datetime = (await self._database.read(NOW))[0][0]
        rapi = await self.rapi(id)
        nodes = await rapi.nodes()
        info = await rapi.info()
        groups = [str(group["name"]) for group in await rapi.groups()]
        last_job_id = await rapi.highest_job_id()
        cluster = {
            "disk_templates": rules.disk_templates(info),
            "node_groups": groups,
            "version": str(info.get("software_version", "")),
        }
        async with self._database.transaction("backend-refresh") as tx:
            store = BackendStore(tx)
            addresses = rules.node_addresses(nodes)
            await store.record_reading(id, begun, rules.sum_nodes(nodes), cluster, addresses)
            await store.raise_last_job(id, last_job_id)

    async def each_online(self, work: Callable[[int], Awaitable[object]]) -> dict[str, str]:
        """Do ``work`` for every backend that is not offline; a failure of one is logged.

        Why it failed, by the names of those where it did.
        """
        failures = {}
        for backend in await self.list():
            if backend.offline:
                continue
            try:
                await work(backend.id)
            except RapiFailure as error:
                failures[backend.clustername] = str(error)
                self.log.warn(
                    "cluster {cluster}: {error}", cluster=backend.clustername, error=str(error)
                )
        return failures

    async def refresh_all(self) -> dict[str, str]:
        """Read the figures of every cluster; why, by name, where that failed."""
        return await self.each_online(self.refresh)
