"""SQL of the invariants; each of ALWAYS and AT_REST gives the rows that break it."""

from __future__ import annotations

NIL = "00000000-0000-0000-0000-000000000000"

PENDING = "SELECT project::text, member::text, resource, quantity FROM provisions"
HELD = """
SELECT project::text, member::text, resource, usage_min, usage_max FROM holdings
WHERE resource LIKE 'cyclades.%' ORDER BY 1, 2, 3
"""
RESERVATIONS = "SELECT * FROM reservations"
COPIES = """
SELECT c.backend, 'snf-net-' || c.network FROM backend_networks c
JOIN networks n ON n.id = c.network WHERE NOT n.deleted
"""
# The tag that an instance bears is that of the intent that made it.
SERVERS = """
SELECT s.id, s.backend, s.operstate, f.cpu, f.ram_mib,
 (SELECT json_agg(json_build_array('snf-nic-' || p.id, p.mac, host(p.address)) ORDER BY p.index)
    FROM ports p WHERE p.server = s.id),
 (SELECT json_agg(json_build_array('snf-vol-' || v.id, v.size_gib * 1024) ORDER BY v.index)
    FROM volumes v WHERE v.server = s.id AND NOT v.deleted),
 (SELECT count(*) FROM server_diagnostics d WHERE d.server = s.id),
 (SELECT json_agg(i.id) FROM intents i WHERE i.subject = 'server:' || s.id
    AND i.opcode = 'OP_INSTANCE_CREATE')
FROM servers s JOIN flavors f ON f.id = s.flavor ORDER BY s.id
"""

ALWAYS = {
    "INV1 a usage below zero, or above its limit": """
SELECT h.* FROM holdings h
CROSS JOIN LATERAL quota_limit(h.project, h.member, h.resource) AS q
WHERE h.usage_min < 0 OR h.usage_max > q.quota""",
    "INV2 an address of a port is not held by it": """
SELECT p.id, p.address, i.* FROM ports p JOIN pools l ON l.subnet = p.subnet
LEFT JOIN pool_items i ON i.pool = l.id AND i.index = p.address - l.base::inet
WHERE p.address - l.base::inet BETWEEN 0 AND l.size - 1
 AND (i.state IS DISTINCT FROM 'held' OR i.holder <> 'port:' || p.id)""",
    "INV2 an address is held by no live port": """
SELECT i.* FROM pool_items i WHERE i.state = 'held' AND i.holder LIKE 'port:%'
 AND NOT EXISTS (SELECT FROM ports p JOIN servers s ON s.id = p.server
    WHERE i.holder = 'port:' || p.id AND NOT s.deleted)""",
    "INV3 and 6 a live volume without a live server": """
SELECT v.* FROM volumes v LEFT JOIN servers s ON s.id = v.server
WHERE NOT v.deleted AND (s.id IS NULL OR s.deleted)""",
    "INV4 a MAC address twice on a network": """
SELECT network, mac, count(*) FROM ports GROUP BY network, mac HAVING count(*) > 1""",
    "INV5 a task that the state does not know": """
SELECT id, operstate, task FROM servers WHERE (operstate, task) NOT IN (
 ('BUILD', 'BUILD'), ('BUILD', 'DESTROY'),
 ('STARTED', ''), ('STARTED', 'STOP'), ('STARTED', 'REBOOT'), ('STARTED', 'DESTROY'),
 ('STOPPED', ''), ('STOPPED', 'START'), ('STOPPED', 'REBOOT'), ('STOPPED', 'RESIZE'),
 ('STOPPED', 'DESTROY'), ('ERROR', ''), ('ERROR', 'DESTROY'), ('DESTROYED', ''))""",
    "INV5 a task without its open intent": """
SELECT s.id, s.task, i.* FROM servers s LEFT JOIN intents i ON i.id = s.task_intent
WHERE s.task <> '' AND (i.id IS NULL OR i.ended IS NOT NULL OR i.subject <> 'server:' || s.id
 OR i.backend <> s.backend OR i.opcode <> CASE s.task WHEN 'BUILD' THEN 'OP_INSTANCE_CREATE'
  WHEN 'START' THEN 'OP_INSTANCE_STARTUP' WHEN 'STOP' THEN 'OP_INSTANCE_SHUTDOWN'
  WHEN 'REBOOT' THEN 'OP_INSTANCE_REBOOT' WHEN 'RESIZE' THEN 'OP_INSTANCE_SET_PARAMS'
  WHEN 'DESTROY' THEN 'OP_INSTANCE_REMOVE' END)""",
    "INV6 a port of a deleted server": """
SELECT p.* FROM ports p JOIN servers s ON s.id = p.server WHERE s.deleted""",
    "INV6 a port on a deleted network": """
SELECT p.* FROM ports p JOIN networks n ON n.id = p.network WHERE n.deleted""",
    "INV6 a pending charge without an open intent": """
SELECT p.* FROM provisions p LEFT JOIN intents i ON i.id::text = p.serial
WHERE i.id IS NULL OR i.ended IS NOT NULL""",
    "INV13 reservations of a backend are not the sum": """
SELECT b.id, b.reserved_mib, b.reserved_disk_mib, b.reserved_instances, r.* FROM backends b
LEFT JOIN LATERAL (SELECT coalesce(sum(ram_mib), 0) AS ram, coalesce(sum(disk_mib), 0) AS disk,
  count(*) AS n FROM reservations r WHERE r.backend = b.id) r ON true
WHERE (b.reserved_mib, b.reserved_disk_mib, b.reserved_instances) <> (r.ram, r.disk, r.n)""",
    "INV13 an open reservation without an open intent, or ended with one": """
SELECT r.* FROM reservations r LEFT JOIN intents i ON i.id = r.intent
WHERE i.id IS NULL OR (r.ended IS NULL) <> (i.ended IS NULL)""",
}

AT_REST = {
    "INV9 an open intent": "SELECT * FROM intents WHERE ended IS NULL",
    "INV9 an intent that ended after its deadline": """
SELECT * FROM intents WHERE ended > deadline + interval '1 minute' AND job_id IS NULL""",
    "INV9 a task": "SELECT id, task FROM servers WHERE task <> ''",
    "INV9 a building or half-made part": """
SELECT id, state FROM ports WHERE state = 'BUILD'
UNION ALL SELECT id, status FROM volumes WHERE status = 'CREATING'
UNION ALL SELECT network, state FROM backend_networks WHERE state IN ('PENDING', 'REMOVING')""",
    "INV10 two jobs with one intent": """
SELECT backend, job_id, count(*) FROM intents WHERE job_id IS NOT NULL GROUP BY 1, 2
HAVING count(*) > 1""",
    "INV14 parameters that outlive their job": "SELECT server FROM server_params",
}
