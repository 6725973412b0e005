"""HTTP of servers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from synnefo_tx.compute import xml
from synnefo_tx.compute.changes import at_horizon, changes_since
from synnefo_tx.compute.links import parse_id
from synnefo_tx.compute.servers import rules, wire
from synnefo_tx.compute.servers.actions import ServerActions
from synnefo_tx.compute.servers.consoles import ServerConsoles
from synnefo_tx.compute.servers.operations import Created, Servers
from synnefo_tx.compute.servers.pages import ServerPages
from synnefo_tx.compute.servers.wire import (
    CreateServer,
    PutMetadata,
    PutMetadataItem,
    RenameServer,
)
from synnefo_tx.faults import BadRequest, Forbidden, ItemNotFound, NotImplementedFault
from synnefo_tx.rest.endpoint import Call, Reply, endpoint
from synnefo_tx.settings import Compute

UNSUPPORTED = frozenset(
    {"changePassword", "rebuild", "confirmResize", "revertResize", "createImage"}
    | {"os-getSPICEConsole", "os-getRDPConsole"}
)
Act = Callable[[Call[Any], int, Mapping[str, Any]], Awaitable[Any]]


def _created(created: Created) -> bytes:
    return wire.created(created.document, created.admin_password)


class ServerRoutes:
    """``/compute/v2.0/servers``."""

    def __init__(
        self,
        servers: Servers,
        pages: ServerPages,
        actions: ServerActions,
        consoles: ServerConsoles,
        settings: Compute,
    ) -> None:
        self._servers = servers
        self._pages = pages
        self._actions = actions
        self._consoles = consoles
        self._settings = settings
        self._acts: Mapping[str, Act] = {
            "start": self._start,
            "os-start": self._start,
            "shutdown": self._shutdown,
            "os-stop": self._shutdown,
            "reboot": self._reboot,
            "resize": self._resize,
            "console": self._console,
        }

    @endpoint("GET", "/servers", action="compute:server:list", xml=xml.servers)
    async def list(self, call: Call[None]) -> Reply:
        """List the caller's servers."""
        since = changes_since(call, self._settings)
        if since is None:
            page = await self._pages.briefs(call.caller)
        else:
            page = await self._pages.changed(call.caller, since, brief=True)
        return at_horizon(page.horizon, wire.listing(page.documents))

    @endpoint("GET", "/servers/detail", action="compute:server:list", xml=xml.servers)
    async def detail(self, call: Call[None]) -> Reply:
        """List the caller's servers with all their fields."""
        since = changes_since(call, self._settings)
        if since is None:
            page = await self._pages.details(call.caller)
        else:
            page = await self._pages.changed(call.caller, since)
        return at_horizon(page.horizon, wire.listing(page.documents))

    @endpoint(
        "POST",
        "/servers",
        action="compute:server:create",
        body=CreateServer,
        status=202,
        xml=xml.server,
        idempotent=True,
        rate="create",
    )
    async def create(self, call: Call[CreateServer]) -> bytes:
        """Start building a server; the reply carries its administrator password."""
        draft = wire.draft(call.body, self._settings)
        created = await self._servers.create(call.caller, draft, call.once(_created))
        return _created(created)

    @endpoint("GET", "/servers/<server_id>", action="compute:server:show", xml=xml.server)
    async def show(self, call: Call[None], server_id: str) -> bytes:
        """Show one server, also a deleted one."""
        return wire.one(await self._pages.show(call.caller, parse_id(server_id, "server")))

    @endpoint(
        "PUT",
        "/servers/<server_id>",
        action="compute:server:rename",
        body=RenameServer,
        status=204,
    )
    async def rename(self, call: Call[RenameServer], server_id: str) -> None:
        """Give a server another name."""
        id = parse_id(server_id, "server")
        await self._servers.rename(call.caller, id, call.body.server.name)

    @endpoint("DELETE", "/servers/<server_id>", action="compute:server:delete", status=204)
    async def delete(self, call: Call[None], server_id: str) -> None:
        """Remove a server."""
        await self._actions.delete(call.caller, parse_id(server_id, "server"))

    @endpoint(
        "POST",
        "/servers/<server_id>/action",
        action="compute:server:action",
        body=dict[str, Any],
        status=202,
        xml=xml.acted,
    )
    async def action(self, call: Call[dict[str, Any]], server_id: str) -> Any:
        """Do something with a server: start, shutdown, reboot, resize, console."""
        id = parse_id(server_id, "server")
        name = next(iter(call.body), None)
        if name is None:
            raise BadRequest("The body names no action")
        if name in UNSUPPORTED:
            raise NotImplementedFault(f"Action {name} is not supported")
        if name == "suspend":
            raise Forbidden("Servers are suspended by administrators only")
        arguments = call.body[name]
        if arguments is None:
            arguments = {}
        if name not in self._acts or not isinstance(arguments, dict):
            raise BadRequest("Unknown action, or its arguments are no object")
        return await self._acts[name](call, id, arguments)

    async def _start(self, call: Call[Any], id: int, arguments: Mapping[str, Any]) -> None:
        await self._actions.start(call.caller, id)

    async def _shutdown(self, call: Call[Any], id: int, arguments: Mapping[str, Any]) -> None:
        await self._actions.shutdown(call.caller, id)

    async def _reboot(self, call: Call[Any], id: int, arguments: Mapping[str, Any]) -> None:
        kind = arguments.get("type", "SOFT")
        if kind not in ("SOFT", "HARD"):
            raise BadRequest("reboot.type must be SOFT or HARD")
        await self._actions.reboot(call.caller, id, hard=kind == "HARD")

    async def _resize(self, call: Call[Any], id: int, arguments: Mapping[str, Any]) -> None:
        if "flavorRef" not in arguments:
            raise BadRequest("field 'flavorRef' is missing")
        flavor = rules.integer_reference(arguments["flavorRef"], "resize.flavorRef")
        await self._actions.resize(call.caller, id, flavor)

    async def _console(self, call: Call[Any], id: int, arguments: Mapping[str, Any]) -> Reply:
        console = await self._consoles.issue(call.caller, id, arguments.get("type"), call.remote)
        return Reply({"console": console}, status=200)

    @endpoint(
        "GET",
        "/servers/<server_id>/metadata",
        action="compute:server:metadata:show",
        xml=xml.metadata,
    )
    async def metadata(self, call: Call[None], server_id: str) -> dict[str, Any]:
        """List a server's metadata."""
        view = await self._servers.show(call.caller, parse_id(server_id, "server"))
        return {"metadata": dict(view.metadata)}

    @endpoint(
        "POST",
        "/servers/<server_id>/metadata",
        action="compute:server:metadata:change",
        body=PutMetadata,
        status=201,
        xml=xml.metadata,
    )
    async def put_metadata(self, call: Call[PutMetadata], server_id: str) -> dict[str, Any]:
        """Add or replace metadata items."""
        id = parse_id(server_id, "server")
        values = rules.check_metadata(call.body.metadata, self._settings)
        return {"metadata": await self._servers.put_metadata(call.caller, id, values)}

    @endpoint(
        "GET",
        "/servers/<server_id>/metadata/<key>",
        action="compute:server:metadata:show",
        xml=xml.meta,
    )
    async def metadata_item(self, call: Call[None], server_id: str, key: str) -> dict[str, Any]:
        """Show one metadata item."""
        view = await self._servers.show(call.caller, parse_id(server_id, "server"))
        if key not in view.metadata:
            raise ItemNotFound("Metadata key not found.")
        return {"meta": {key: view.metadata[key]}}

    @endpoint(
        "PUT",
        "/servers/<server_id>/metadata/<key>",
        action="compute:server:metadata:change",
        body=PutMetadataItem,
        status=201,
        xml=xml.meta,
    )
    async def put_metadata_item(
        self, call: Call[PutMetadataItem], server_id: str, key: str
    ) -> dict[str, Any]:
        """Set one metadata item."""
        id = parse_id(server_id, "server")
        if set(call.body.meta) != {key}:
            raise BadRequest("meta must hold the one key that the path names")
        values = rules.check_metadata(call.body.meta, self._settings)
        await self._servers.put_metadata(call.caller, id, values)
        return {"meta": values}

    @endpoint(
        "DELETE",
        "/servers/<server_id>/metadata/<key>",
        action="compute:server:metadata:change",
        status=204,
    )
    async def delete_metadata(self, call: Call[None], server_id: str, key: str) -> None:
        """Remove one metadata item."""
        await self._servers.delete_metadata(call.caller, parse_id(server_id, "server"), key)

    @endpoint("GET", "/servers/<server_id>/diagnostics", action="compute:server:diagnostics")
    async def diagnostics(self, call: Call[None], server_id: str) -> Any:
        """List what happened to a server, newest first."""
        rows = await self._servers.diagnostics(call.caller, parse_id(server_id, "server"))
        return [wire.diagnostic(row) for row in rows]
