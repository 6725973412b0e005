"""SQL of holdings and provisions.

Each charge is one statement. Its INSERT … ON CONFLICT locks row after row in the order of
HoldingKey, whether a row was there or not, so that no two charges wait for each other; rows of
projects, which many want, come last and are held shortest. A charge that finds a limit exceeded is
taken back, row by row, under the same locks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from synnefo_tx.db.pool import Hot, Row, Transaction
from synnefo_tx.identity.quota.model import (
    PROJECT_ITSELF,
    Change,
    Drift,
    HoldingKey,
    HoldingUsage,
    Provision,
    Refusal,
)

_CHANGES = """unnest(
        %(projects)s::uuid[], %(members)s::uuid[], %(resources)s::text[],
        %(mins)s::bigint[], %(maxes)s::bigint[]
    ) AS w (project, member, resource, add_min, add_max)"""
_IN_ORDER = f"ORDER BY member = '{PROJECT_ITSELF}', resource, project, member"
_WANTED = f"""wanted AS MATERIALIZED (
    SELECT w.*, q.quota FROM {_CHANGES}
    LEFT JOIN LATERAL quota_limit(w.project, w.member, w.resource) AS q ON true
)"""
_ADDED = f"""added AS (
    INSERT INTO holdings AS h (project, member, resource, usage_min, usage_max)
    SELECT project, member, resource, add_min, add_max FROM wanted
    WHERE quota IS NOT NULL {_IN_ORDER}
    ON CONFLICT (project, member, resource) DO UPDATE
        SET usage_min = h.usage_min + excluded.usage_min,
            usage_max = h.usage_max + excluded.usage_max
    RETURNING h.project, h.member, h.resource, h.usage_min, h.usage_max
)"""
_REFUSED = f"""
SELECT project, member, resource, add_min, add_max, quota,
    usage_min - add_min, usage_max - add_max,
    (SELECT unit FROM resources WHERE name = resource)
FROM wanted LEFT JOIN added USING (project, member, resource)
WHERE quota IS NULL
OR (add_max > 0 AND usage_max > quota AND NOT %(force)s)
OR (add_min < 0 AND usage_min < 0)
{_IN_ORDER} LIMIT 1
"""
ADD = Hot(f"WITH {_WANTED}, {_ADDED} {_REFUSED}")
ADD_PENDING = f"""
WITH {_WANTED}, {_ADDED}, noted AS (
    INSERT INTO provisions (serial, project, member, resource, quantity)
    SELECT %(serial)s, p.* FROM unnest(
        %(pending_projects)s::uuid[], %(pending_users)s::uuid[],
        %(pending_resources)s::text[], %(pending_quantities)s::bigint[]
    ) AS p
) {_REFUSED}"""
TAKE_BACK = f"""
UPDATE holdings h SET usage_min = h.usage_min - w.add_min, usage_max = h.usage_max - w.add_max
FROM {_CHANGES}
WHERE (h.project, h.member, h.resource) = (w.project, w.member, w.resource)
"""
SELECT_RESERVED = Hot("SELECT resource, quantity FROM provisions WHERE serial = %(serial)s")
LOCK_HOLDINGS = Hot("""
SELECT 1 FROM holdings WHERE project = %(project)s
 AND member IN (%(user)s, '00000000-0000-0000-0000-000000000000')
ORDER BY member = '00000000-0000-0000-0000-000000000000', resource FOR UPDATE
""")
DELETE_PROVISIONS = Hot("DELETE FROM provisions WHERE serial = %(serial)s")
# An import moves usage_min when accepted and usage_max when rejected, a release the other one.
SETTLE = Hot(f"""
WITH gone AS (
    DELETE FROM provisions WHERE serial = %(serial)s
    RETURNING project, member, resource, quantity, (quantity > 0) = %(accept)s AS moves_min,
        CASE WHEN %(accept)s THEN quantity ELSE -quantity END AS moved
), changes AS (
    SELECT project, who.member, resource,
        coalesce(sum(moved) FILTER (WHERE moves_min), 0)::bigint AS add_min,
        coalesce(sum(moved) FILTER (WHERE NOT moves_min), 0)::bigint AS add_max
    FROM gone
    CROSS JOIN LATERAL (VALUES (gone.member), ('{PROJECT_ITSELF}'::uuid)) AS who (member)
    GROUP BY project, who.member, resource
), locked AS (
    SELECT project, member, resource, add_min, add_max
    FROM changes JOIN holdings USING (project, member, resource)
    {_IN_ORDER} FOR UPDATE OF holdings
), settled AS (
    UPDATE holdings h SET usage_min = h.usage_min + w.add_min, usage_max = h.usage_max + w.add_max
    FROM locked w
    WHERE (h.project, h.member, h.resource) = (w.project, w.member, w.resource)
)
SELECT count(*) FROM gone
""")
# Skips what is locked: who never waits is in no deadlock.
SWEEP = """
DELETE FROM holdings WHERE (project, member, resource) IN (
    SELECT project, member, resource FROM holdings
    WHERE usage_min = 0 AND usage_max = 0 AND own_limit IS NULL
    LIMIT %(limit)s FOR UPDATE SKIP LOCKED
)
"""
SELECT_USAGE = """
SELECT project, member, resource, usage_min, usage_max FROM holdings
WHERE resource = ANY (%(resources)s)
ORDER BY project, member, resource
"""
LISTING = f"""
SELECT p.uuid, m.member, r.name, of_member.quota, coalesce(h.usage_min, 0),
    coalesce(h.usage_max, 0), of_project.quota, coalesce(ph.usage_min, 0), coalesce(ph.usage_max, 0)
FROM project_members m
JOIN projects p ON p.uuid = m.project AND p.state <> 'deleted'
CROSS JOIN resources r
CROSS JOIN LATERAL quota_limit(p.uuid, m.member, r.name) AS of_member
CROSS JOIN LATERAL quota_limit(p.uuid, '{PROJECT_ITSELF}', r.name) AS of_project
LEFT JOIN holdings h
    ON h.project = p.uuid AND h.member = m.member AND h.resource = r.name
LEFT JOIN holdings ph
    ON ph.project = p.uuid AND ph.member = '{PROJECT_ITSELF}' AND ph.resource = r.name
WHERE m.state IN ('accepted', 'leave_requested') AND r.api_visible
"""
SELECT_LISTING = f"{LISTING} AND m.member = %(user)s ORDER BY p.id, r.id"
SELECT_SEEN = f"""{LISTING}
AND p.uuid = ANY (%(projects)s::uuid[]) AND m.member = ANY (%(users)s::uuid[]) ORDER BY p.id, r.id
"""
SELECT_PROJECT_LIMITS = f"""
SELECT d.resource, coalesce(own.member_capacity, fallback.quota),
    coalesce(own.project_capacity, fallback.quota), coalesce(h.usage_max, 0)
FROM projects p
JOIN resource_defaults d ON d.generation = p.quota_generation
JOIN resources r ON r.name = d.resource
CROSS JOIN LATERAL (
    SELECT CASE WHEN p.is_system THEN d.system_default ELSE d.project_default END AS quota
) fallback
LEFT JOIN project_limits own ON own.project = p.uuid AND own.resource = d.resource
LEFT JOIN holdings h
    ON h.project = p.uuid AND h.member = '{PROJECT_ITSELF}' AND h.resource = d.resource
WHERE p.uuid = %(project)s ORDER BY r.id
"""
SELECT_HOLDINGS = f"""
SELECT who.project, who.member, coalesce(u.username, p.realname), who.of_project, r.name, q.quota,
    coalesce(h.usage_max, 0)
FROM (
    SELECT project, member, member AS holder, false AS of_project FROM project_members
    WHERE initialized
    UNION ALL
    SELECT uuid, uuid, '{PROJECT_ITSELF}', true FROM projects WHERE state <> 'uninitialized'
) who
JOIN projects p ON p.uuid = who.project
LEFT JOIN users u ON u.uuid = who.member AND NOT who.of_project
CROSS JOIN resources r
CROSS JOIN LATERAL quota_limit(who.project, who.holder, r.name) AS q
LEFT JOIN holdings h
    ON h.project = who.project AND h.member = who.holder AND h.resource = r.name
WHERE (%(user)s::uuid IS NULL OR who.member = %(user)s AND NOT who.of_project)
AND (%(project)s::uuid IS NULL OR who.project = %(project)s)
ORDER BY p.id, who.of_project, u.id, r.id
"""
# A holding of nobody: they never were in the project, or are not any more.
SELECT_UNEXPECTED = """
SELECT h.project, h.member, h.resource, h.usage_min, h.usage_max FROM holdings h
WHERE NOT EXISTS (SELECT FROM quota_limit(h.project, h.member, h.resource))
ORDER BY h.project, h.member, h.resource
"""
DELETE_UNEXPECTED = f"""
DELETE FROM holdings WHERE (project, member, resource) IN (
    SELECT h.project, h.member, h.resource FROM holdings h
    WHERE h.usage_min = h.usage_max
    AND NOT EXISTS (SELECT FROM quota_limit(h.project, h.member, h.resource))
    {_IN_ORDER} FOR UPDATE OF h
)
"""
# The difference is added, not the truth stored: charges since the look are kept.
CORRECT = f"""
WITH wanted AS (
    SELECT * FROM unnest(
        %(projects)s::uuid[], %(members)s::uuid[], %(resources)s::text[],
        %(seen)s::bigint[], %(actual)s::bigint[]
    ) AS w (project, member, resource, seen, actual)
)
INSERT INTO holdings AS h (project, member, resource, usage_min, usage_max)
SELECT project, member, resource, actual - seen, actual - seen FROM wanted {_IN_ORDER}
ON CONFLICT (project, member, resource) DO UPDATE
    SET usage_min = h.usage_min + excluded.usage_min, usage_max = h.usage_max + excluded.usage_max
    WHERE (h.usage_min, h.usage_max) = (
        SELECT w.seen, w.seen FROM wanted w
        WHERE (w.project, w.member, w.resource) = (h.project, h.member, h.resource)
    )
"""


def _arrays(changes: Mapping[HoldingKey, Change]) -> dict[str, Any]:
    return {
        "projects": [key.project for key in changes],
        "members": [key.member for key in changes],
        "resources": [key.resource for key in changes],
        "mins": [each.usage_min for each in changes.values()],
        "maxes": [each.usage_max for each in changes.values()],
    }


def _refusal(row: Row) -> Refusal:
    project, member, resource, add_min, add_max, limit, usage_min, usage_max, unit = row
    key = HoldingKey(member == PROJECT_ITSELF, resource, project, member)
    # A charge that is both (a project's row with two members) was refused for one of the reasons.
    short = add_min < 0 and usage_min is not None and usage_min + add_min < 0
    quantity = add_min if short or add_max <= 0 else add_max
    return Refusal(key, quantity, limit, usage_min, usage_max, unit)


class QuotaStore:
    """Holdings and provisions within one transaction."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    async def add(self, changes: Mapping[HoldingKey, Change], force: bool) -> Refusal | None:
        """Apply the changes, all or none; the first refusal, if any."""
        return await self._refused(ADD, _arrays(changes) | {"force": force})

    async def add_pending(
        self, serial: str, changes: Mapping[HoldingKey, Change], provisions: Sequence[Provision]
    ) -> Refusal | None:
        """Apply the changes and note the provisions, all or none; the first refusal, if any."""
        noted = {
            "serial": serial,
            "pending_projects": [each.project for each in provisions],
            "pending_users": [each.user for each in provisions],
            "pending_resources": [each.resource for each in provisions],
            "pending_quantities": [each.quantity for each in provisions],
        }
        refusal = await self._refused(ADD_PENDING, _arrays(changes) | noted | {"force": False})
        if refusal is not None:
            await self._tx.run(DELETE_PROVISIONS, {"serial": serial})
        return refusal

    async def reserved(self, serial: str) -> dict[str, int]:
        """What is pending under a serial, by resource."""
        return dict(await self._tx.rows(SELECT_RESERVED, {"serial": serial}))

    async def lock(self, user: str, project: str) -> None:
        """Lock all holdings of a member and their project, in the order of charges."""
        await self._tx.run(LOCK_HOLDINGS, {"user": user, "project": project})

    async def _refused(self, sql: str, parameters: dict[str, Any]) -> Refusal | None:
        row = await self._tx.row(sql, parameters)
        if row is None:
            return None
        await self._tx.run(TAKE_BACK, parameters)
        return _refusal(row)

    async def settle(self, serial: str, accept: bool) -> bool:
        """End a pending charge; False when there is none of that serial."""
        return bool(await self._tx.value(SETTLE, {"serial": serial, "accept": accept}))

    async def delete_unexpected(self) -> int:
        """Delete the holdings of nobody that no charge is pending on; how many."""
        return await self._tx.run(DELETE_UNEXPECTED)

    async def sweep(self, limit: int) -> int:
        """Delete at most ``limit`` holdings that say nothing; how many."""
        return await self._tx.run(SWEEP, {"limit": limit})

    async def list_usage(self, resources: Collection[str]) -> list[HoldingUsage]:
        """The holdings of some resources."""
        rows = await self._tx.rows(SELECT_USAGE, {"resources": list(resources)})
        return [HoldingUsage(*row) for row in rows]

    async def correct(self, drifts: Sequence[Drift]) -> int:
        """Bring holdings to what exists unless they changed since the look; how many."""
        return await self._tx.run(
            CORRECT,
            {
                "projects": [each.held.project for each in drifts],
                "members": [each.held.member for each in drifts],
                "resources": [each.held.resource for each in drifts],
                "seen": [each.held.usage_min for each in drifts],
                "actual": [each.actual for each in drifts],
            },
        )
