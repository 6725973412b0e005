"""One-time parameters: what the OS installer of a new server fetches (compute-api reference §10).

They hold the administrator's password and the user's files, so they are sealed at rest and read
once: a complete read ends them, a cut one may be repeated for a minute, and they end with the job,
after an hour at most. The URL is the only thing that a job on the cluster knows of them.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from synnefo_tx.compute.images.model import Image
from synnefo_tx.compute.servers.model import ServerDraft
from synnefo_tx.db.pool import Database, Hot, Transaction
from synnefo_tx.db.sweeping import STEP_ROWS
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.ganeti.backends.store import BackendStore
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.rotation import SealedColumn
from synnefo_tx.rest.endpoint import Call, Reply, endpoint
from synnefo_tx.rest.misses import Misses
from synnefo_tx.settings import Compute

PURPOSE = "server-parameters"
PATH = "/vmapi/v1.0/server-params/"
ID_BYTES = 24

SEALED = SealedColumn("server_params", ("id_sha256",), "sealed", lambda id: PURPOSE)
INSERT = Hot("""
INSERT INTO server_params (id_sha256, server, sealed, created)
VALUES (%(id)s, %(server)s, %(sealed)s, synnefo_now())
""")
READ = Hot("""
UPDATE server_params SET first_read = coalesce(first_read, synnefo_now())
WHERE id_sha256 = %(id)s AND created > synnefo_now() - make_interval(secs => %(life)s)
 AND (first_read IS NULL OR first_read > synnefo_now() - make_interval(secs => %(repeat)s))
RETURNING sealed, server
""")
BACKEND = "SELECT backend FROM servers WHERE id = %(server)s"
END = Hot("DELETE FROM server_params WHERE id_sha256 = %(id)s")
END_OF_SERVER = Hot("DELETE FROM server_params WHERE server = %(server)s")
SWEEP = """
DELETE FROM server_params WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM server_params
    WHERE created < synnefo_now() - make_interval(secs => %(life)s)
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
"""


def document(image: Image, draft: ServerDraft, password: str) -> dict[str, Any]:
    """What the installer reads; texts within are JSON, as the original's installer expects."""
    files = [
        {
            "path": each.path,
            "contents": each.contents,
            "owner": each.owner,
            "group": each.group,
            "mode": each.mode,
        }
        for each in draft.personality
    ]
    properties = {key.upper(): value for key, value in image.properties.items()}
    return {
        "img_id": image.location,
        "img_passwd": password,
        "img_format": image.disk_format,
        "img_personality": json.dumps(files),
        "img_properties": json.dumps(properties),
    }


class Parameters:
    """Stores, hands out and ends one-time parameters."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        settings: Compute,
        site_url: str,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._settings = settings
        self._base_url = (settings.vmapi_base_url or site_url).rstrip("/")
        self._entropy = entropy

    async def store(self, tx: Transaction, server: int, content: Mapping[str, Any]) -> str:
        """Seal parameters; the URL under which they can be fetched once."""
        id = base64.urlsafe_b64encode(self._entropy(ID_BYTES)).decode()
        sealed = await self._keyring.seal(tx, json.dumps(content).encode(), PURPOSE)
        await tx.run(INSERT, {"id": _digest(id), "server": server, "sealed": sealed})
        return self._base_url + PATH + id

    async def read(self, id: str, remote: str = "") -> bytes:
        """The JSON of parameters; raises ItemNotFound when they are not there (any more), or,
        if the settings ask for it, unless ``remote`` is a node of the server's cluster."""
        values = {
            "id": _digest(id),
            "life": self._settings.vmapi_life_seconds,
            "repeat": self._settings.vmapi_repeat_seconds,
        }
        async with self._database.transaction("parameters-read") as tx:
            row = await tx.row(READ, values)
            if row is None or not await self._may_read(tx, row[1], remote):
                raise ItemNotFound("No such server parameters")
        return await self._keyring.open(bytes(row[0]), PURPOSE)

    async def _may_read(self, tx: Transaction, server: int, remote: str) -> bool:
        if not self._settings.vmapi_nodes_only:
            return True
        backend = await tx.value(BACKEND, {"server": server})
        return await BackendStore(tx).has_node_address(backend, remote)

    async def end(self, id: str) -> None:
        """They were read completely."""
        async with self._database.transaction("parameters-end") as tx:
            await tx.run(END, {"id": _digest(id)})

    async def end_of_server(self, tx: Transaction, server: int) -> None:
        """The job that needed them is over."""
        await tx.run(END_OF_SERVER, {"server": server})

    async def sweep(self, tx: Transaction) -> int:
        """Remove some of the parameters that nobody fetched in time; how many."""
        life = self._settings.vmapi_life_seconds
        return await tx.run(SWEEP, {"life": life, "limit": STEP_ROWS})


def _digest(id: str) -> bytes:
    return hashlib.sha256(id.encode()).digest()


class ParameterRoutes:
    """``/vmapi/v1.0``."""

    def __init__(self, parameters: Parameters, misses: Misses) -> None:
        self._parameters = parameters
        self._misses = misses

    @endpoint(
        "GET",
        "/server-params/<params_id>",
        action="vmapi:parameters:read",
        ways=("none",),
    )
    async def read(self, call: Call[None], params_id: str) -> Reply:
        """Hand one-time parameters to the OS installer."""
        await self._misses.check(call.remote)
        try:
            content = await self._parameters.read(params_id, call.remote)
        except ItemNotFound:
            await self._misses.add(call.remote)
            raise
        return Reply(content, delivered=lambda: self._parameters.end(params_id))
