"""Everything that is known of one server: here, and on its cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import frozen

from synnefo_tx.caller import OPERATOR
from synnefo_tx.compute.flavors.model import Flavor
from synnefo_tx.compute.flavors.store import FlavorStore
from synnefo_tx.compute.ports.model import Port
from synnefo_tx.compute.ports.store import PortStore
from synnefo_tx.compute.servers.model import Server, VolumeDetails
from synnefo_tx.compute.servers.operations import Servers
from synnefo_tx.compute.servers.store import volume_details
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.backends.model import Backend
from synnefo_tx.ganeti.backends.operations import Backends
from synnefo_tx.ganeti.jobs.model import Intent
from synnefo_tx.ganeti.jobs.store import intents_of
from synnefo_tx.ganeti.model import JobView, RapiError
from synnefo_tx.ganeti.requests import instance_name

JOBS_MAX = 100


@frozen
class Inspected:
    """A server with what belongs to it; ``intents`` are the latest, newest first. A deleted one's
    cluster may be gone."""

    server: Server
    flavor: Flavor
    backend: Backend | None
    ports: Sequence[Port]
    volumes: Sequence[VolumeDetails]
    intents: Sequence[Intent]

    @property
    def task_job_id(self) -> int | None:
        """Ganeti's job of the task that goes on, if there is one and the cluster took it."""
        task = self.server.task_intent
        return next((each.job_id for each in self.intents if each.id == task), None)

    @property
    def last_intent(self) -> Intent | None:
        """The latest intent that became a job."""
        return next((each for each in self.intents if each.job_id is not None), None)


class ServerInspection:
    """Reads servers for the operator."""

    def __init__(
        self, database: Database, servers: Servers, backends: Backends, backend_prefix: str
    ) -> None:
        self._database = database
        self._servers = servers
        self._backends = backends
        self._backend_prefix = backend_prefix

    async def stored(self, id: int) -> Inspected:
        """What is known here, also of a deleted server; raises ItemNotFound."""
        server = (await self._servers.show(OPERATOR, id)).server
        async with self._database.transaction("server-inspect") as tx:
            flavor = await FlavorStore(tx).get(server.flavor)
            ports = await PortStore(tx).of_server(id)
        gone = server.backend is None
        return Inspected(
            server=server,
            flavor=flavor,
            backend=None if gone else await self._backends.get(server.cluster),
            ports=ports,
            volumes=await volume_details(self._database, id),
            intents=await intents_of(self._database, f"server:{id}", JOBS_MAX),
        )

    async def instance(self, server: Server) -> dict[str, Any] | None:
        """The instance as its cluster shows it, None if there is none.

        Raises RapiFailure, within the limits of RAPI calls.
        """
        rapi = await self._backends.rapi(server.cluster)
        try:
            return await rapi.instance(instance_name(server.id, self._backend_prefix))
        except RapiError as error:
            if error.status == 404:
                return None
            raise

    async def jobs(self, inspected: Inspected) -> Sequence[JobView]:
        """The jobs of the server's intents as its cluster shows them; raises RapiFailure."""
        ids = [each.job_id for each in inspected.intents if each.job_id is not None]
        if not ids:
            return ()
        rapi = await self._backends.rapi(inspected.server.cluster)
        return [job for job in await rapi.jobs_by_id(ids) if job.known]
