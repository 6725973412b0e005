"""What compute says exists: the side of quota reconciliation that owns the things."""

from __future__ import annotations

from collections.abc import Collection

from synnefo_tx.compute import charges
from synnefo_tx.compute.networks.operations import PRIVATE_NETWORK
from synnefo_tx.db.pool import Transaction
from synnefo_tx.identity.quota.model import ActualUsage

RESOURCES = (
    charges.VM,
    charges.CPU,
    charges.RAM,
    charges.TOTAL_CPU,
    charges.TOTAL_RAM,
    charges.DISK,
    PRIVATE_NETWORK,
)
MIB = 1024 * 1024
# One row per holding; the same rules as ``charges``, set-based.
ACTUAL = f"""
WITH live AS (
    SELECT s.userid, s.project, f.cpu, f.ram_mib::bigint * {MIB} AS ram,
     s.operstate IN ('BUILD', 'STARTED', 'ERROR') AS runs
    FROM servers s JOIN flavors f ON f.id = s.flavor WHERE NOT s.deleted
), counted AS (
    SELECT userid, project, %(vm)s AS resource, 1::bigint AS quantity FROM live
    UNION ALL SELECT userid, project, %(total_cpu)s, cpu FROM live
    UNION ALL SELECT userid, project, %(total_ram)s, ram FROM live
    UNION ALL SELECT userid, project, %(cpu)s, cpu FROM live WHERE runs
    UNION ALL SELECT userid, project, %(ram)s, ram FROM live WHERE runs
    UNION ALL SELECT userid, project, %(disk)s, size_gib::bigint * 1024 * {MIB}
        FROM volumes WHERE NOT deleted
    UNION ALL SELECT userid, project, %(network)s, 1 FROM networks
        WHERE NOT deleted AND userid IS NOT NULL
)
SELECT userid::text, project::text, resource, sum(quantity)::bigint FROM counted
GROUP BY userid, project, resource ORDER BY userid, project, resource
"""  # noqa: S608 (constants only)


class ServerUsage:
    """Compute's ``UsageSource``."""

    @property
    def resources(self) -> Collection[str]:
        """The resources that compute charges."""
        return RESOURCES

    async def actual_usage(self, tx: Transaction) -> list[ActualUsage]:
        """What exists, by holder and resource, as the transaction sees it."""
        rows = await tx.rows(
            ACTUAL,
            {
                "vm": charges.VM,
                "cpu": charges.CPU,
                "ram": charges.RAM,
                "total_cpu": charges.TOTAL_CPU,
                "total_ram": charges.TOTAL_RAM,
                "disk": charges.DISK,
                "network": PRIVATE_NETWORK,
            },
        )
        return [ActualUsage(*row) for row in rows]
