"""SQL of servers, their metadata, volumes, diagnostics and one-time parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from synnefo_tx.compute.flavors.model import VolumeType
from synnefo_tx.compute.servers.model import NicView, Server, ServerView, Volume, VolumeDetails
from synnefo_tx.compute.visibility import sees_server
from synnefo_tx.db.pool import Database, Hot, Row, Transaction
from synnefo_tx.ganeti.messages import ImageReport

COLUMNS = """s.id, s.name, s.userid::text, s.project::text, s.backend, s.flavor, s.image,
 s.operstate, s.task, s.task_intent::text, s.task_flavor, s.job_status, s.last_job_id, s.progress,
 s.suspended, s.deleted, s.created, s.updated, s.state_changed"""
# All that a document shows in one statement; the parts come as JSON arrays.
VIEW = f"""
SELECT {COLUMNS},
 (SELECT json_object_agg(key, value) FROM server_metadata m WHERE m.server = s.id),
 (SELECT json_agg(json_build_array(p.id, p.network, p.mac, host(p.address), p.state)
    ORDER BY p.index) FROM ports p WHERE p.server = s.id),
 (SELECT json_agg(v.id ORDER BY v.index) FROM volumes v WHERE v.server = s.id AND NOT v.deleted),
 (SELECT json_build_object('level', d.level, 'source', d.source, 'message', d.message,
    'details', d.details, 'created', to_char(d.created AT TIME ZONE 'UTC',
    'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'))
    FROM server_diagnostics d WHERE d.server = s.id ORDER BY d.id DESC LIMIT 1)
FROM servers s
"""
OWNED = f"({sees_server('s', '%(user)s')} OR %(operator)s)"
LIST = VIEW + f" WHERE {OWNED} AND NOT s.deleted ORDER BY s.id"
CHANGES = VIEW + f" WHERE {OWNED} AND s.updated >= %(since)s ORDER BY s.id"
SHOW = VIEW + f" WHERE s.id = %(id)s AND {OWNED}"
FIND = f"SELECT {COLUMNS} FROM servers s WHERE s.id = %(id)s"
LOCK = Hot(FIND + " FOR UPDATE")
LOCK_ALL = Hot(f"""
SELECT {COLUMNS} FROM servers s WHERE s.id = ANY (%(ids)s) ORDER BY s.id FOR UPDATE
""")
LOCK_OWNED = Hot(f"SELECT {COLUMNS} FROM servers s WHERE s.id = %(id)s AND {OWNED} FOR UPDATE")
OF_BACKEND = f"""
SELECT {COLUMNS} FROM servers s WHERE s.backend = %(backend)s AND NOT s.deleted ORDER BY s.id
"""
OLDEST_TASKS = """
SELECT task, extract(epoch FROM synnefo_now() - min(updated))::float8 FROM servers
WHERE NOT deleted AND task <> '' GROUP BY task ORDER BY task
"""
OPERSTATES = "SELECT id, operstate FROM servers WHERE id = ANY (%(ids)s)"
BY_BACKEND = "SELECT backend, count(*) FROM servers WHERE NOT deleted GROUP BY backend"
BY_FLAVOR = "SELECT flavor, count(*) FROM servers WHERE NOT deleted GROUP BY flavor"
DIAGNOSTICS = """
SELECT level, source, message, details, created FROM server_diagnostics
WHERE server = %(server)s ORDER BY id DESC LIMIT 100
"""
INSERT = Hot("""
INSERT INTO servers (name, userid, project, backend, flavor, image, operstate, task, task_intent,
 created, updated, state_changed)
VALUES (%(name)s, %(userid)s, %(project)s, %(backend)s, %(flavor)s, %(image)s, 'BUILD', 'BUILD',
 %(intent)s, synnefo_now(), synnefo_now(), synnefo_now())
RETURNING id
""")
SET_BACKEND = Hot("UPDATE servers SET backend = %(backend)s WHERE id = %(id)s")
RENAME = "UPDATE servers SET name = %(name)s, updated = synnefo_now() WHERE id = %(id)s"
SET_SUSPENDED = """
UPDATE servers SET suspended = %(suspended)s, updated = synnefo_now() WHERE id = %(id)s
"""
TOUCH = "UPDATE servers SET updated = synnefo_now() WHERE id = %(id)s"
SET_TASK = Hot("""
UPDATE servers SET task = %(task)s, task_intent = %(intent)s, task_flavor = %(flavor)s,
 job_status = 'queued', updated = synnefo_now() WHERE id = %(id)s
""")
SET_TASK_FLAVOR = "UPDATE servers SET task_flavor = %(flavor)s WHERE id = %(id)s"
CHANGE = Hot(f"""
UPDATE servers s SET operstate = %(operstate)s, deleted = %(destroyed)s,
 flavor = CASE WHEN %(take_flavor)s THEN coalesce(task_flavor, flavor) ELSE flavor END,
 task = CASE WHEN %(task_ended)s THEN '' ELSE task END,
 task_intent = CASE WHEN %(task_ended)s THEN NULL ELSE task_intent END,
 task_flavor = CASE WHEN %(task_ended)s THEN NULL ELSE task_flavor END,
 job_status = %(job_status)s,
 last_job_id = greatest(last_job_id, coalesce(%(job_id)s, 0)),
 updated = synnefo_now(),
 state_changed = synnefo_now()
WHERE id = %(id)s
RETURNING {COLUMNS}
""")
SET_JOB_STATUS = Hot("""
UPDATE servers SET job_status = %(job_status)s, updated = synnefo_now()
WHERE id = %(id)s AND job_status <> %(job_status)s
""")
SET_JOB_STATUSES = Hot("""
UPDATE servers SET job_status = told.status, updated = synnefo_now()
FROM unnest(%(ids)s::bigint[], %(statuses)s::text[]) AS told (id, status)
WHERE servers.id = told.id AND job_status <> told.status
""")
# A build's progress only grows, so that the order of news does not matter.
SET_PROGRESS = """
UPDATE servers SET progress = told.percent, updated = synnefo_now()
FROM unnest(%(ids)s::bigint[], %(percents)s::integer[]) AS told (id, percent)
WHERE servers.id = told.id AND NOT deleted AND operstate = 'BUILD' AND progress < told.percent
"""
DELETE_METADATA_KEY = "DELETE FROM server_metadata WHERE server = %(server)s AND key = %(key)s"
PUT_METADATA = """
INSERT INTO server_metadata (server, key, value)
SELECT %(server)s, key, value FROM unnest(%(keys)s::text[], %(values)s::text[]) AS item (key, value)
ON CONFLICT (server, key) DO UPDATE SET value = excluded.value
"""
METADATA = "SELECT key, value FROM server_metadata WHERE server = %(server)s ORDER BY key"
INSERT_DIAGNOSTIC = """
INSERT INTO server_diagnostics (server, level, source, message, created)
VALUES (%(server)s, %(level)s, %(source)s, %(message)s, synnefo_now())
"""
# A report that comes twice is the same. The row changes with what its document shows.
INSERT_REPORT = """
WITH told AS (
    INSERT INTO server_diagnostics (server, level, source, message, details, created)
    SELECT id, %(level)s, %(source)s, %(message)s, %(details)s, %(created)s FROM servers
    WHERE id = %(server)s AND NOT deleted AND NOT EXISTS (
        SELECT FROM server_diagnostics WHERE server = %(server)s AND created = %(created)s
         AND source = %(source)s AND message = %(message)s)
    RETURNING server
)
UPDATE servers SET updated = synnefo_now() FROM told WHERE id = told.server
"""
INSERT_VOLUME = Hot("""
INSERT INTO volumes (name, userid, project, size_gib, volume_type, status, server, index, source,
 created, updated)
VALUES (%(name)s, %(userid)s, %(project)s, %(size_gib)s, %(volume_type)s, 'CREATING', %(server)s,
 %(index)s, %(source)s, synnefo_now(), synnefo_now()) RETURNING id
""")
VOLUMES = Hot("""
SELECT id, size_gib, status, deleted FROM volumes WHERE server = %(server)s AND NOT deleted
ORDER BY index FOR UPDATE
""")
VOLUME_DETAILS = """
SELECT v.id, v.name, v.index, v.size_gib, t.id, t.name, t.disk_template, t.deleted, v.status,
 v.source
FROM volumes v JOIN volume_types t ON t.id = v.volume_type
WHERE v.server = %(server)s AND NOT v.deleted ORDER BY v.index
"""
SET_VOLUMES = Hot("""
UPDATE volumes SET status = %(status)s, deleted = (%(status)s = 'DELETED'), updated = synnefo_now()
WHERE server = %(server)s AND NOT deleted
""")


def from_row(row: Row) -> Server:
    """A server from the columns of COLUMNS."""
    return Server(*row)


def view_from_row(row: Row) -> ServerView:
    """A server with its parts from the columns of VIEW."""
    *server, metadata, nics, volumes, diagnostic = row
    return ServerView(
        server=Server(*server),
        metadata=metadata or {},
        nics=tuple(NicView(*each) for each in nics or ()),
        volumes=tuple(volumes or ()),
        diagnostic=diagnostic,
    )


async def list_views(
    database: Database, user: str, operator: bool, since: datetime | None = None
) -> list[ServerView]:
    """A user's servers: live ones, or all that changed since a moment; an operator sees all."""
    values = {"user": user or None, "operator": operator, "since": since}
    rows = await database.read(LIST if since is None else CHANGES, values)
    return [view_from_row(row) for row in rows]


async def find_view(database: Database, id: int, user: str, operator: bool) -> ServerView | None:
    """One server if the user owns it, deleted or not."""
    rows = await database.read(SHOW, {"id": id, "user": user or None, "operator": operator})
    return view_from_row(rows[0]) if rows else None


async def oldest_tasks(database: Database) -> list[tuple[str, float]]:
    """Every pending task and how long the oldest server with it has waited, in seconds."""
    return [(row[0], row[1]) for row in await database.read(OLDEST_TASKS)]


async def operstates(database: Database, ids: Sequence[int]) -> dict[int, str]:
    """The states of some servers; those that never were are left out."""
    return dict(await database.read(OPERSTATES, {"ids": list(ids)}))


async def of_backend(database: Database, backend: int) -> list[Server]:
    """Live servers of a backend."""
    return [from_row(row) for row in await database.read(OF_BACKEND, {"backend": backend})]


async def count_by_backend(database: Database) -> dict[int, int]:
    """How many live servers each backend has; those without any are left out."""
    return dict(await database.read(BY_BACKEND))


async def count_by_flavor(database: Database) -> dict[int, int]:
    """How many live servers have each flavor; those that none has are left out."""
    return dict(await database.read(BY_FLAVOR))


async def volume_details(database: Database, server: int) -> list[VolumeDetails]:
    """A server's live volumes, root first."""
    found = []
    for row in await database.read(VOLUME_DETAILS, {"server": server}):
        id, name, index, size_gib, *volume_type, status, source = row
        kind = VolumeType(*volume_type)
        found.append(VolumeDetails(id, name, index, size_gib, kind, status, source))
    return found


async def diagnostics(database: Database, server: int) -> list[Row]:
    """The latest hundred diagnostics of a server, newest first."""
    return await database.read(DIAGNOSTICS, {"server": server})


class ServerStore:
    """Servers inside a transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def insert(
        self, name: str, userid: str, project: str, backend: int, flavor: int, image: str,
        intent: str,
    ) -> int:  # fmt: skip
        """Add a server in BUILD; its id."""
        values = {
            "name": name,
            "userid": userid,
            "project": project,
            "backend": backend,
            "flavor": flavor,
            "image": image,
            "intent": intent,
        }
        return int(await self._tx.value(INSERT, values))

    async def lock(self, id: int) -> Server | None:
        """The server ``id``, locked."""
        row = await self._tx.row(LOCK, {"id": id})
        return None if row is None else from_row(row)

    async def lock_all(self, ids: Sequence[int]) -> list[Server]:
        """Those of the servers that are there, locked, in the order of their numbers."""
        return [from_row(row) for row in await self._tx.rows(LOCK_ALL, {"ids": list(ids)})]

    async def find(self, id: int) -> Server | None:
        """The server ``id``, not locked."""
        row = await self._tx.row(FIND, {"id": id})
        return None if row is None else from_row(row)

    async def lock_owned(self, id: int, user: str, operator: bool) -> Server | None:
        """The server ``id``, locked, if the user owns it."""
        values = {"id": id, "user": user or None, "operator": operator}
        row = await self._tx.row(LOCK_OWNED, values)
        return None if row is None else from_row(row)

    async def set_backend(self, id: int, backend: int) -> None:
        """Place a server that is just being made elsewhere."""
        await self._tx.run(SET_BACKEND, {"id": id, "backend": backend})

    async def rename(self, id: int, name: str) -> None:
        """Give a server another name."""
        await self._tx.run(RENAME, {"id": id, "name": name})

    async def set_suspended(self, id: int, suspended: bool) -> None:
        """Suspend a server, or release it."""
        await self._tx.run(SET_SUSPENDED, {"id": id, "suspended": suspended})

    async def set_task(self, id: int, task: str, intent: str, flavor: int | None = None) -> None:
        """Begin a task; ``flavor`` is what a resize leads to."""
        values = {"id": id, "task": task, "intent": intent, "flavor": flavor}
        await self._tx.run(SET_TASK, values)

    async def set_task_flavor(self, id: int, flavor: int) -> None:
        """Name the flavor that the next change takes over."""
        await self._tx.run(SET_TASK_FLAVOR, {"id": id, "flavor": flavor})

    async def change(self, id: int, values: Mapping[str, Any]) -> Server:
        """Apply a transition to a server that is there; what it is then."""
        return from_row((await self._tx.rows(CHANGE, {**values, "id": id}))[0])

    async def set_job_status(self, id: int, job_status: str) -> None:
        """Note how far the task's job is."""
        await self._tx.run(SET_JOB_STATUS, {"id": id, "job_status": job_status})

    async def set_job_statuses(self, statuses: Mapping[int, str]) -> None:
        """Note how far the tasks' jobs are, by server."""
        values = {"ids": list(statuses), "statuses": list(statuses.values())}
        await self._tx.run(SET_JOB_STATUSES, values)

    async def raise_progress(self, percents: Mapping[int, int]) -> None:
        """Note how far builds are, by server; what is not being built is left alone."""
        values = {"ids": list(percents), "percents": list(percents.values())}
        await self._tx.run(SET_PROGRESS, values)

    async def metadata(self, id: int) -> dict[str, str]:
        """A server's metadata."""
        return dict(await self._tx.rows(METADATA, {"server": id}))

    async def put_metadata(self, id: int, values: Mapping[str, str]) -> None:
        """Add or replace metadata items."""
        keys = list(values)
        parameters = {"server": id, "keys": keys, "values": [values[key] for key in keys]}
        await self._tx.run(PUT_METADATA, parameters)
        await self._tx.run(TOUCH, {"id": id})

    async def delete_metadata(self, id: int, key: str) -> bool:
        """Remove a metadata item; False if there was none."""
        gone = await self._tx.run(DELETE_METADATA_KEY, {"server": id, "key": key})
        await self._tx.run(TOUCH, {"id": id})
        return bool(gone)

    async def add_diagnostic(self, id: int, level: str, source: str, message: str) -> None:
        """Tell the owner something about their server."""
        values = {"server": id, "level": level, "source": source, "message": message}
        await self._tx.run(INSERT_DIAGNOSTIC, values)

    async def add_report(self, id: int, report: ImageReport) -> None:
        """Keep what the image installer told of a server, once."""
        values = {
            "server": id,
            "level": report.level,
            "source": report.source,
            "message": report.message,
            "details": report.details,
            "created": report.event_time,
        }
        await self._tx.run(INSERT_REPORT, values)

    async def insert_volume(self, values: Mapping[str, Any]) -> int:
        """Add a volume in CREATING; its id."""
        return int(await self._tx.value(INSERT_VOLUME, values))

    async def volumes(self, id: int) -> Sequence[Volume]:
        """A server's live volumes, root first, locked."""
        return [Volume(*row) for row in await self._tx.rows(VOLUMES, {"server": id})]

    async def set_volumes(self, id: int, status: str) -> None:
        """Set the status of all live volumes of a server."""
        await self._tx.run(SET_VOLUMES, {"server": id, "status": status})
