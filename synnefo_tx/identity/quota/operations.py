"""Use cases of quota. Whoever charges does so inside their own transaction.

The rule is the commission rule of the original (identity reference §1.2): an import needs room
under the limit, of the member and of the project, unless forced; a release needs that much usage,
forced or not. All provisions of a call hold or none does, and a refused call leaves the transaction
as it was. Call once per transaction, or several times in the order of HoldingKey: holdings are
locked as they are charged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

from synnefo_tx.db.pool import Database, Row, Transaction
from synnefo_tx.db.transaction import BULK_SECONDS
from synnefo_tx.identity.quota import rules
from synnefo_tx.identity.quota.model import (
    PROJECT_ITSELF,
    ActualUsage,
    Drift,
    HoldingUsage,
    ListedHolding,
    ProjectLimit,
    Provision,
    UsageSource,
)
from synnefo_tx.identity.quota.store import (
    SELECT_HOLDINGS,
    SELECT_LISTING,
    SELECT_PROJECT_LIMITS,
    SELECT_SEEN,
    SELECT_UNEXPECTED,
    QuotaStore,
)
from synnefo_tx.journal.record import record

FIX_MAX = 500
SWEEP_MAX = 1000


class Quota:
    """Charges, releases and listings of holdings."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def charge(
        self, tx: Transaction, provisions: Iterable[Provision], *, force: bool = False
    ) -> None:
        """Charge at once; what comes to nothing is left out.

        Raises OverLimit (NoCapacityError, NoQuantityError) or ItemNotFound (NoHoldingError).
        """
        changes = rules.immediate(provisions)
        if changes:
            refusal = await QuotaStore(tx).add(changes, force)
            if refusal is not None:
                raise rules.refused(refusal)

    async def charge_pending(
        self, tx: Transaction, serial: str, provisions: Iterable[Provision]
    ) -> None:
        """Do the first half of a charge that ``settle`` ends; ``serial`` is new. Raises as
        ``charge``."""
        pieces = rules.summed(provisions)
        if pieces:
            changes = rules.first_half(pieces)
            refusal = await QuotaStore(tx).add_pending(serial, changes, pieces)
            if refusal is not None:
                raise rules.refused(refusal)

    async def settle(self, tx: Transaction, serial: str, accept: bool) -> bool:
        """Do the second half; False, and nothing, when it was done or the serial is unknown."""
        return await QuotaStore(tx).settle(serial, accept)

    async def settle_change(
        self, tx: Transaction, serial: str, user: str, project: str, deltas: Mapping[str, int]
    ) -> None:
        """Settle a serial by what really changed: ``deltas`` by resource, which must hold.

        A change that is just what was reserved accepts it; any other rejects it and is charged
        as it is, whatever the limit.
        """
        reserved = await QuotaStore(tx).reserved(serial)
        if reserved and reserved == dict(deltas):
            await self.settle(tx, serial, accept=True)
            return
        if reserved:
            # Two statements follow; they must not meet another's in the opposite order.
            await QuotaStore(tx).lock(user, project)
            await self.settle(tx, serial, accept=False)
        pieces = [Provision(user, project, name, size) for name, size in deltas.items()]
        await self.charge(tx, pieces, force=True)

    async def move(
        self,
        tx: Transaction,
        user: str,
        from_project: str,
        to_project: str,
        amounts: Mapping[str, int],
    ) -> None:
        """Release ``amounts`` (by resource) in one project and charge them in another. Raises as
        ``charge``."""
        away = [Provision(user, from_project, name, -size) for name, size in amounts.items()]
        there = [Provision(user, to_project, name, size) for name, size in amounts.items()]
        await self.charge(tx, away + there)

    async def listing(self, user: str) -> dict[str, dict[str, dict[str, int]]]:
        """Limits and usage of every visible resource in every project of the user."""
        rows = await self._database.read(SELECT_LISTING, {"user": user})
        return {project: document for (project, _), document in _documents(rows).items()}

    async def seen(
        self, projects: Sequence[str], users: Sequence[str]
    ) -> dict[tuple[str, str], dict[str, dict[str, int]]]:
        """What ``listing`` has of some projects for some users, by project and user."""
        values = {"projects": list(projects), "users": list(users)}
        return _documents(await self._database.read(SELECT_SEEN, values))

    async def list_holdings(
        self, user: str | None = None, project: str | None = None
    ) -> list[ListedHolding]:
        """Every limit and usage, of one user or in one project if asked for."""
        wanted = {"user": user, "project": project}
        rows = await self._database.read(SELECT_HOLDINGS, wanted)
        return [ListedHolding(*row) for row in rows]

    async def project_limits(self, project: str) -> list[ProjectLimit]:
        """The limits that a project has when it is active, and its usage."""
        rows = await self._database.read(SELECT_PROJECT_LIMITS, {"project": project})
        return [ProjectLimit(*row) for row in rows]

    async def sweep(self, tx: Transaction) -> int:
        """Delete holdings without usage and without a limit of their own; how many."""
        return await QuotaStore(tx).sweep(SWEEP_MAX)

    async def unexpected(self) -> list[HoldingUsage]:
        """Holdings of those who are in no relation with the project, who have no limit there."""
        rows = await self._database.read(SELECT_UNEXPECTED)
        return [HoldingUsage(*row) for row in rows]

    async def delete_unexpected(self) -> int:
        """Delete those of them that no charge is pending on; how many."""
        async with self._database.transaction("quota-verify", limit_seconds=BULK_SECONDS) as tx:
            return await QuotaStore(tx).delete_unexpected()

    async def usage_rows(self, tx: Transaction, resources: Collection[str]) -> list[HoldingUsage]:
        """The recorded usage of some resources."""
        return await QuotaStore(tx).list_usage(resources)

    async def drift(
        self, tx: Transaction, actual: Sequence[ActualUsage], resources: Collection[str]
    ) -> list[Drift]:
        """Where the record of ``resources`` is not what exists.

        ``actual`` must have been read in ``tx``, in one snapshot with the holdings.
        """
        return compare(actual, await self.usage_rows(tx, resources))

    async def fix(self, tx: Transaction, drifts: Sequence[Drift]) -> int:
        """Correct the record where no charge is pending and none was made since; how many."""
        settled = [each for each in drifts if not each.pending]
        return await QuotaStore(tx).correct(settled) if settled else 0

    async def reconcile(
        self,
        source: UsageSource,
        *,
        fix: bool = False,
        user: str | None = None,
        project: str | None = None,
    ) -> list[Drift]:
        """Compare with what a component says exists, and correct the record if asked to.

        With ``user`` or ``project`` only their holdings.
        """
        async with self._database.transaction("quota-drift", snapshot=True) as tx:
            found = await self.drift(tx, await source.actual_usage(tx), source.resources)
        if user is not None:
            found = [each for each in found if each.held.member == user]
        if project is not None:
            found = [each for each in found if each.held.project == project]
        if fix:
            # In pieces: the locks of one must not stand in everybody's way.
            for begin in range(0, len(found), FIX_MAX):
                async with self._database.transaction(
                    "quota-fix", limit_seconds=BULK_SECONDS
                ) as tx:
                    fixed = await self.fix(tx, found[begin : begin + FIX_MAX])
                    await record(tx, "identity:quota:fix", "quota", details=f"{fixed} holdings")
        return found


def compare(actual: Iterable[ActualUsage], held: Iterable[HoldingUsage]) -> list[Drift]:
    """The holdings whose record does not enclose what exists."""
    exists: Counter[tuple[str, str, str]] = Counter()
    for each in actual:
        exists[each.project, each.user, each.resource] += each.quantity
        exists[each.project, PROJECT_ITSELF, each.resource] += each.quantity
    records = {(each.project, each.member, each.resource): each for each in held}
    drifts = []
    for key in sorted(exists.keys() | records.keys()):
        record = records.get(key) or HoldingUsage(*key, 0, 0)
        if not record.usage_min <= exists[key] <= record.usage_max:
            drifts.append(Drift(record, exists[key]))
    return drifts


def _documents(rows: Iterable[Row]) -> dict[tuple[str, str], dict[str, dict[str, int]]]:
    documents: dict[tuple[str, str], dict[str, dict[str, int]]] = {}
    for row in rows:
        project, member, resource, limit, low, high, project_limit, project_low, project_high = row
        documents.setdefault((project, member), {})[resource] = {
            "limit": limit,
            "usage": high,
            "pending": high - low,
            "project_limit": project_limit,
            "project_usage": project_high,
            "project_pending": project_high - project_low,
        }
    return documents
