"""Servers as JSON, written by PostgreSQL (compute-api reference §2.1).

A page is one statement: its rows, what belongs to them, and its version, in one snapshot. What a
server's document shows changes only together with the server's row, so the rows' versions tell
whether a page is still what it was.
"""

from __future__ import annotations

from typing import Any

from synnefo_tx.compute.servers.lifecycle import TASK_STATES
from synnefo_tx.compute.visibility import VIEWER, VIEWERS, sees_server
from synnefo_tx.db.document import (
    Json,
    Listed,
    Members,
    Quoted,
    boolean,
    moment,
    text,
    written,
)
from synnefo_tx.db.pool import Hot


def _links(kind: str, id: str) -> list[dict[str, Any]]:
    href = Quoted(f"%(base)s::text, '/{kind}/', {id}")
    return [{"rel": "self", "href": href}, {"rel": "bookmark", "href": href}]


_CASES = " ".join(f"WHEN '{task}' THEN '{shown}'" for task, shown in TASK_STATES.items())
STATUS = """CASE WHEN s.deleted THEN 'DELETED' WHEN s.operstate <> 'STARTED' THEN s.operstate
 WHEN s.task = 'REBOOT' AND s.job_status IN ('queued', 'waiting', 'running') THEN 'REBOOT'
 ELSE 'ACTIVE' END"""
FQDN = "coalesce(to_json(replace(%(fqdn)s::text, '%%(id)s', s.id::text))::text, 'null')"

BRIEF = {"id": Json("s.id"), "name": text("s.name"), "links": _links("servers", "s.id")}
DETAIL = BRIEF | {
    "user_id": Quoted("s.userid"),
    "tenant_id": Quoted("s.project"),
    "shared_to_project": False,
    "status": Quoted(STATUS),
    "SNF:task_state": Quoted(f"CASE s.task {_CASES} END"),
    "progress": Json(f"CASE WHEN {STATUS} = 'ACTIVE' THEN 100 ELSE s.progress END"),
    "hostId": "",
    "updated": moment("s.updated"),
    "created": moment("s.created"),
    "flavor": {"id": Json("s.flavor"), "links": _links("flavors", "s.flavor")},
    "image": {"id": text("s.image"), "links": _links("images", "s.image")},
    "suspended": boolean("s.suspended"),
    "metadata": Members("metadata.members"),
    "tags": [],
    "attachments": Listed("attachments.list"),
    "addresses": Members("addresses.members"),
    "volumes": Listed("volumes.list"),
    "diagnostics": Listed("diagnostic"),
    "security_groups": [{"name": "default"}],
    "key_name": None,
    "SNF:key_names": [],
    "config_drive": "",
    "accessIPv4": "",
    "accessIPv6": "",
    "SNF:fqdn": Json(FQDN),
    "SNF:port_forwarding": {},
    "deleted": boolean("s.deleted"),
    "SNF:rescue": False,
}
ATTACHMENT = {
    "id": Json("p.id"),
    "network_id": Quoted("p.network"),
    "mac_address": Quoted("p.mac"),
    "ipv4": Quoted("host(p.address)"),
    "ipv6": "",
    "OS-EXT-IPS:type": "fixed",
}
ADDRESS = {"version": 4, "addr": Quoted("host(p.address)"), "OS-EXT-IPS:type": "fixed"}
DIAGNOSTIC = {
    "level": text("d.level"),
    "source": text("d.source"),
    "message": text("d.message"),
    "details": text("d.details"),
    "created": moment("d.created"),
}
VERSION = "decode(md5(string_agg(concat(s.id, ':', s.version), ',' ORDER BY s.id)), 'hex')"


def _documents(where: str, shown: str) -> Hot:
    # What belongs to the servers is read for the whole page at once, not server by server.
    return Hot(f"""
WITH s AS MATERIALIZED (
  SELECT *, changed_xid AS version FROM servers s WHERE {where}),
nics AS MATERIALIZED (
  SELECT p.server, p.network, p.address IS NOT NULL AS has_address, {written(ATTACHMENT)} AS nic,
    {written(ADDRESS)} AS address
  FROM ports p WHERE p.server IN (SELECT id FROM s) AND p.state = 'ACTIVE'
  ORDER BY p.server, p.index),
attachments AS (SELECT server, string_agg(nic, ', ') AS list FROM nics GROUP BY server),
addresses AS (
  SELECT server, string_agg(concat('"', network, '": [', of_network, ']'), ', ') AS members
  FROM (SELECT server, network, string_agg(address, ', ') AS of_network FROM nics
    WHERE has_address GROUP BY server, network) AS n GROUP BY server),
metadata AS (
  SELECT server, string_agg(concat(to_json(key), ': ', to_json(value)), ', ') AS members
  FROM server_metadata WHERE server IN (SELECT id FROM s) GROUP BY server),
volumes AS (
  SELECT server, string_agg(id::text, ', ') AS list
  FROM (SELECT v.server, v.id FROM volumes v WHERE v.server IN (SELECT id FROM s)
    AND NOT v.deleted ORDER BY v.server, v.index) AS v GROUP BY server),
documents AS (
  SELECT s.id, s.userid, s.version, {written(DETAIL)} AS document
  FROM s LEFT JOIN attachments ON attachments.server = s.id
  LEFT JOIN addresses ON addresses.server = s.id
  LEFT JOIN metadata ON metadata.server = s.id LEFT JOIN volumes ON volumes.server = s.id
  LEFT JOIN LATERAL (SELECT {written(DIAGNOSTIC)} AS diagnostic FROM server_diagnostics d
    WHERE d.server = s.id ORDER BY d.id DESC LIMIT 1) AS d ON true)
{shown}
""")


def _brief(where: str) -> Hot:
    return Hot(f"""
SELECT {VERSION}, string_agg({written(BRIEF)}, ', ' ORDER BY s.id), commit_horizon()
FROM (SELECT *, changed_xid AS version FROM servers s WHERE {where}) AS s
""")


OWNED = sees_server("s", "%(user)s")
LIVE = f"{OWNED} AND NOT s.deleted"
CHANGED = f"{OWNED} AND s.updated >= %(since)s"
SHOWN = f"SELECT {VERSION}, string_agg(document, ', ' ORDER BY s.id)"
SHOW = _documents(f"s.id = %(id)s AND {OWNED}", f"{SHOWN} FROM documents s")
LISTED = f"{SHOWN}, commit_horizon() FROM documents s"
DETAILS = _documents(LIVE, LISTED)
DETAILS_CHANGED = _documents(CHANGED, LISTED)
BRIEFS = _brief(LIVE)
BRIEFS_CHANGED = _brief(CHANGED)
# The same for some of all servers, with those of some users who see each.
SEEN = _documents(
    "s.id = ANY (%(ids)s::bigint[]) AND NOT s.deleted"
    f" AND EXISTS (SELECT FROM {VIEWERS} WHERE {sees_server('s', VIEWER)})",
    f"""SELECT s.id::text, s.document, array_agg({VIEWER}::text)
FROM documents s JOIN {VIEWERS} ON {sees_server("s", VIEWER)} GROUP BY s.id, s.document""",
)
IS_CHANGED = Hot(f"SELECT EXISTS (SELECT FROM servers s WHERE {CHANGED}), commit_horizon()")
LIVE_VERSION = Hot(f"""
SELECT {VERSION}, commit_horizon()
FROM (SELECT id, changed_xid AS version FROM servers s WHERE {LIVE}) AS s
""")
