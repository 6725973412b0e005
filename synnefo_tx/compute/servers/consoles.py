"""Consoles of servers: who may see which screen, read anew each time.

A ticket names the server and the instance's own uuid. When it is used everything else is read
again: a ticket for a server that is gone, or whose place another has taken, opens nothing. While
the console lives its server is read about every second, and its user's access is watched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from synnefo_tx.caller import Caller
from synnefo_tx.compute.servers import rules
from synnefo_tx.compute.servers.model import Server
from synnefo_tx.compute.servers.operations import Servers, journaled
from synnefo_tx.compute.servers.store import ServerStore, operstates
from synnefo_tx.console import model as refusals
from synnefo_tx.console.model import Refusal, Target
from synnefo_tx.console.places import Places
from synnefo_tx.console.tickets import Tickets, UsedTicket
from synnefo_tx.db.pool import Database
from synnefo_tx.faults import BadRequest, ServiceUnavailable
from synnefo_tx.ganeti.backends.operations import Backends
from synnefo_tx.ganeti.backends.store import BackendStore
from synnefo_tx.ganeti.model import RapiFailure
from synnefo_tx.ganeti.requests import instance_name
from synnefo_tx.identity.access.changes import AccessChanges, Watch
from synnefo_tx.journal.acting import Actor
from synnefo_tx.journal.model import DONE
from synnefo_tx.journal.record import record
from synnefo_tx.settings import Settings

CLUSTER_LIMIT_SECONDS = 5.0
# A guest is gone seconds before its job has ended and the server's state tells so.
LOST_DURING = {
    "STOP": refusals.not_running("the server shuts down"),
    "REBOOT": refusals.not_running("the server reboots"),
    "DESTROY": refusals.gone("the server is being removed"),
}
TYPES = ("vnc", "vnc-ws", "vnc-wss")


class ServerConsoles:
    """Issues console tickets, and is the proxy's ``ConsoleTargets``."""

    log = Logger()

    def __init__(
        self,
        database: Database,
        servers: Servers,
        backends: Backends,
        tickets: Tickets,
        places: Places,
        access: AccessChanges,
        clock: IReactorTime,
        settings: Settings,
    ) -> None:
        self._database = database
        self._servers = servers
        self._backends = backends
        self._tickets = tickets
        self._places = places
        self._access = access
        self._watches: dict[str, Watch] = {}
        self._clock = clock
        self._settings = settings

    async def issue(self, caller: Caller, id: int, type: object, remote: str) -> dict[str, Any]:
        """A ticket for the screen of a running server (contract of the console action)."""
        if type not in TYPES:
            raise BadRequest(f"console.type must be one of {', '.join(TYPES)}")
        if type != "vnc-wss":
            raise BadRequest(f"Consoles of type {type} are not served here: ask for vnc-wss")
        server = (await self._servers.show(caller, id)).server
        rules.check_live(server)
        if server.operstate != "STARTED":
            raise BadRequest("Server is not in ACTIVE state.")
        try:
            instance = await self._instance(server)
        except RapiFailure as error:
            self.log.warn("console of server {id}: {error}", id=id, error=str(error))
            raise ServiceUnavailable("The screen cannot be reached now. Try again later.") from None
        if not instance.get("oper_state"):
            raise BadRequest("Server is not running.")
        async with self._database.transaction("console-ticket") as tx:
            issued = await self._tickets.issue(
                tx, caller.user, id, str(instance["uuid"]), caller.token_id, caller.session_id
            )
            await journaled(tx, "compute:server:action:console", server)
        url = f"{self._settings.console_url}/{issued.ticket}"
        host, _, port = url.split("/")[2].rpartition(":")
        return {
            "type": type,
            "host": host,
            "port": int(port),
            "password": issued.password,
            "url": url,
        }

    async def _instance(self, server: Server) -> dict[str, Any]:
        asked = Deferred.fromCoroutine(self._ask(server))
        asked.addTimeout(CLUSTER_LIMIT_SECONDS, self._clock, _timed_out)
        return await asked

    async def _ask(self, server: Server) -> dict[str, Any]:
        rapi = await self._backends.rapi(server.cluster)
        name = instance_name(server.id, self._settings.compute.backend_prefix_id)
        return await rapi.instance(name)

    async def open(
        self, ticket: str, remote: str, lost: Callable[[Refusal], None]
    ) -> Target | Refusal:
        """Use up a ticket, read its target anew, take a place for the session, and watch."""
        async with self._database.transaction("console-redeem") as tx:
            used = await self._tickets.redeem(tx, ticket)
        if isinstance(used, Refusal):
            return used
        caller = Caller(used.user_uuid, token_id=used.token_id, session_id=used.session_id)
        reason = await self._access.refusal(caller)
        target = refusals.forbidden(reason) if reason else await self._target(used)
        if isinstance(target, Refusal):
            return target
        async with self._database.transaction("console-place") as tx:
            full = await self._places.take(tx, used.session_key, used.user_uuid, used.server_id)
            await record(
                tx,
                "compute:server:console:open",
                "server",
                used.server_id,
                owner=used.user_uuid,
                actor=Actor(used.user_uuid, remote),
                result="refused" if full else DONE,
            )
        if full is not None:
            return full
        self._watches[used.session_key] = self._access.watch(
            caller, lambda reason: lost(refusals.forbidden(reason))
        )
        return target

    async def _target(self, used: UsedTicket) -> Target | Refusal:
        async with self._database.transaction("console-target") as tx:
            server = await ServerStore(tx).find(used.server_id)
        if server is None or server.deleted:
            return refusals.gone()
        try:
            instance = await self._instance(server)
        except RapiFailure as error:
            self.log.warn("console of server {id}: {error}", id=server.id, error=str(error))
            return refusals.unreachable("the cluster does not answer")
        if instance.get("uuid") != used.instance:
            return refusals.gone("the server was replaced")
        if not instance.get("oper_state"):
            return refusals.not_running()
        async with self._database.transaction("console-node") as tx:
            host = await BackendStore(tx).node_address(server.cluster, str(instance.get("pnode")))
        port = instance.get("network_port")
        if host is None or type(port) is not int:
            return refusals.unreachable("the server has no screen")
        return Target(
            session_key=used.session_key,
            user_uuid=used.user_uuid,
            server_id=server.id,
            instance=used.instance,
            host=host,
            port=port,
            password=used.password,
            token_id=used.token_id,
            session_id=used.session_id,
        )

    async def closed(self, target: Target) -> None:
        """Watch no more, and give the session's place back."""
        watch = self._watches.pop(target.session_key, None)
        if watch is not None:
            watch.end()
        async with self._database.transaction("console-closed") as tx:
            await self._places.release(tx, target.session_key)

    async def verify(self, targets: Sequence[Target]) -> Mapping[str, Refusal]:
        """Whose servers show no screen any more, and why; the others keep their places."""
        refused = await self._verify(targets)
        # One that was closed since the question was asked has given its place back.
        kept = [
            each
            for each in targets
            if each.session_key not in refused and each.session_key in self._watches
        ]
        if not kept:
            return refused
        async with self._database.transaction("console-places") as tx:
            await self._places.renew(
                tx, [(each.session_key, each.server_id, each.user_uuid) for each in kept]
            )
        return refused

    async def explain_loss(self, target: Target) -> Refusal | None:
        """Why a screen was lost: what the server is, or else what is being done to it."""
        refused = await self._verify([target])
        if target.session_key in refused:
            return refused[target.session_key]
        async with self._database.transaction("console-loss") as tx:
            server = await ServerStore(tx).find(target.server_id)
        return None if server is None else LOST_DURING.get(server.task)

    async def _verify(self, targets: Sequence[Target]) -> dict[str, Refusal]:
        states = await operstates(self._database, [each.server_id for each in targets])
        refused = {}
        for each in targets:
            state = states.get(each.server_id, "DESTROYED")
            if state == "DESTROYED":
                refused[each.session_key] = refusals.gone()
            elif state != "STARTED":
                refused[each.session_key] = refusals.not_running()
        return refused


def _timed_out(result: object, timeout: float) -> object:
    raise RapiFailure(f"no answer within {timeout} seconds")
