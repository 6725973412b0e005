"""Actions on servers: each one an intent, charged before it is sent where it takes capacity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import evolve

from synnefo_tx.caller import Caller
from synnefo_tx.compute import charges
from synnefo_tx.compute.flavors.store import FlavorStore
from synnefo_tx.compute.servers import rules
from synnefo_tx.compute.servers.model import Server
from synnefo_tx.compute.servers.operations import Servers, journaled
from synnefo_tx.compute.servers.store import ServerStore
from synnefo_tx.db.pool import Database, Transaction
from synnefo_tx.faults import BuildInProgress, Forbidden
from synnefo_tx.ganeti.jobs.model import Draft
from synnefo_tx.ganeti.jobs.operations import Jobs
from synnefo_tx.ganeti.jobs.store import JobStore
from synnefo_tx.ganeti.requests import instance_name, resize_body
from synnefo_tx.identity.quota.model import Provision
from synnefo_tx.identity.quota.operations import Quota
from synnefo_tx.log import request_id
from synnefo_tx.settings import Compute

SOFT_REBOOT_SECONDS = 120
# What the journal calls the beginning of a task.
JOURNAL = {
    "START": "compute:server:action:start",
    "STOP": "compute:server:action:shutdown",
    "REBOOT": "compute:server:action:reboot",
    "RESIZE": "compute:server:action:resize",
    "DESTROY": "compute:server:delete",
}


class ServerActions:
    """Start, shut down, reboot, resize, delete."""

    def __init__(
        self,
        database: Database,
        servers: Servers,
        quota: Quota,
        jobs: Jobs,
        settings: Compute,
        new_id: Callable[[], str],
    ) -> None:
        self._database = database
        self._servers = servers
        self._quota = quota
        self._jobs = jobs
        self._settings = settings
        self._new_id = new_id

    async def start(self, caller: Caller, id: int) -> None:
        """Start a stopped server."""
        async with self._database.transaction("server-start") as tx:
            server = await self._ready(tx, caller, id, "start")
            intent = await self._begin(tx, server, "START", "OP_INSTANCE_STARTUP", "startup")
            await self._reserve(tx, intent, server, evolve(server, operstate="STARTED"))

    async def shutdown(self, caller: Caller, id: int) -> None:
        """Shut a running server down; its CPU and RAM are given back when it is."""
        async with self._database.transaction("server-shutdown") as tx:
            server = await self._ready(tx, caller, id, "shutdown")
            await self._begin(tx, server, "STOP", "OP_INSTANCE_SHUTDOWN", "shutdown")

    async def reboot(self, caller: Caller, id: int, hard: bool) -> None:
        """Restart a server; a stopped one is started. Hard means without waiting for the guest."""
        timeout = 0 if hard else SOFT_REBOOT_SECONDS
        arguments = {"kind": "hard", "shutdown_timeout_seconds": timeout}
        async with self._database.transaction("server-reboot") as tx:
            server = await self._ready(tx, caller, id, "reboot")
            intent = await self._begin(
                tx, server, "REBOOT", "OP_INSTANCE_REBOOT", "reboot", arguments
            )
            await self._reserve(tx, intent, server, evolve(server, operstate="STARTED"))

    async def suspend(self, caller: Caller, id: int, suspended: bool) -> None:
        """Keep a server's owner from changing it, or let them again; for the operator alone."""
        if not caller.sees_all:
            raise Forbidden("Servers are suspended by administrators only")
        async with self._database.transaction("server-suspend") as tx:
            server = await self._servers.lock(tx, caller, id)
            rules.check_suspension(server, suspended)
            await ServerStore(tx).set_suspended(id, suspended)
            await journaled(tx, "compute:server:suspend", server, details=str(suspended).lower())

    async def resize(self, caller: Caller, id: int, flavor_id: int) -> None:
        """Give a stopped server another flavor with the same disk."""
        async with self._database.transaction("server-resize") as tx:
            server = await self._ready(tx, caller, id, "resize")
            current = await FlavorStore(tx).get(server.flavor)
            wanted = await FlavorStore(tx).get_usable(flavor_id)
            rules.check_resize(current, wanted)
            intent = await self._begin(
                tx,
                server,
                "RESIZE",
                "OP_INSTANCE_SET_PARAMS",
                "modify_instance",
                resize_body(wanted.cpu, wanted.ram_mib),
                flavor=wanted.id,
            )
            await self._reserve(tx, intent, server, evolve(server, flavor=wanted.id))

    async def delete(self, caller: Caller, id: int) -> None:
        """Remove a server, whatever it does; a create that runs is waited for.

        Raises BuildInProgress while its instance cannot be there yet.
        """
        async with self._database.transaction("server-delete") as tx:
            server = await self._servers.lock(tx, caller, id)
            rules.check_live(server, caller.sees_all)
            if server.task == "DESTROY":
                return
            creating = [
                each
                for each in await JobStore(tx).of_subject(f"server:{id}")
                if each.opcode == "OP_INSTANCE_CREATE"
            ]
            if any(each.job_status != "running" for each in creating):
                raise BuildInProgress("The server is being built.")
            await self._begin(
                tx,
                server,
                "DESTROY",
                "OP_INSTANCE_REMOVE",
                "delete_instance",
                after=tuple(each.id for each in creating),
            )

    async def _ready(self, tx: Transaction, caller: Caller, id: int, action: str) -> Server:
        server = await self._servers.lock(tx, caller, id)
        rules.check_action(server, action, caller.sees_all)
        return server

    async def _begin(
        self,
        tx: Transaction,
        server: Server,
        task: str,
        opcode: str,
        call: str,
        arguments: Mapping[str, Any] | None = None,
        *,
        flavor: int | None = None,
        after: tuple[str, ...] = (),
    ) -> str:
        intent = self._new_id()
        draft = Draft(
            id=intent,
            backend=server.cluster,
            subject=f"server:{server.id}",
            instance=instance_name(server.id, self._settings.backend_prefix_id),
            opcode=opcode,
            call=call,
            arguments=dict(arguments or {}),
            after=after,
            limit_seconds=self._settings.job_limit_seconds,
        )
        await JobStore(tx).insert_intent(draft, request_id.get())
        await ServerStore(tx).set_task(server.id, task, intent, flavor)
        details = "" if flavor is None else f"flavor {server.flavor} to {flavor}"
        await journaled(tx, JOURNAL[task], server, details=details, operation=intent)
        tx.after_commit(lambda: self._jobs.submit_soon([intent]))
        return intent

    async def _reserve(self, tx: Transaction, intent: str, server: Server, wanted: Server) -> None:
        """Charge what ``wanted`` counts above ``server`` until the job of ``intent`` ends."""
        flavors = FlavorStore(tx)
        before = charges.of_server(server, await flavors.get(server.flavor))
        after = charges.of_server(wanted, await flavors.get(wanted.flavor))
        pieces = [
            Provision(server.userid, server.project, resource, quantity)
            for resource, quantity in charges.difference(after, before).items()
        ]
        await self._quota.charge_pending(tx, intent, pieces)
