"""Quota as its callers see it: faults, listings, concurrency, reconciliation."""

from __future__ import annotations

from collections import Counter

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import deferLater

from synnefo_tx.faults import BadRequest, ItemNotFound, OverLimit
from synnefo_tx.identity.projects.model import LimitChange, ProjectChanges
from synnefo_tx.identity.projects.operations import Projects
from synnefo_tx.identity.projects.store import ProjectStore
from synnefo_tx.identity.quota.model import Provision
from synnefo_tx.units import GIB
from tests.identity.quota.rush import Rush
from tests.identity.quota.support import DISK, RAM, VM, QuotaTestCase
from tests.support.identity import make_project, make_user

OPERATIONS = 1500
VISIBLE = [
    VM,
    "cyclades.cpu",
    RAM,
    DISK,
    "cyclades.network.private",
    "cyclades.floating_ip",
    "pithos.diskspace",
]


class FaultTests(QuotaTestCase):
    async def test_over_limit(self) -> None:
        """A charge beyond the limit is a 413 that says whose limit, of what, and by how much."""
        await self.charge(self.own(RAM, 7 * GIB))
        fault = await self.refusal(self.own(RAM, 2 * GIB))
        self.assertIsInstance(fault, OverLimit)
        self.assertEqual(
            fault.message,
            f"Limit of cyclades.ram for user {self.user} in project {self.user} exceeded by "
            "1 GiB: 2 GiB asked for, 7 GiB of 8 GiB in use",
        )
        self.assertEqual(
            fault.data,
            {
                "name": "NoCapacityError",
                "provision": {
                    "holder": f"user:{self.user}",
                    "source": f"project:{self.user}",
                    "resource": RAM,
                    "quantity": 2 * GIB,
                },
                "limit": 8 * GIB,
                "usage": 7 * GIB,
            },
        )

    async def test_project_over_limit(self) -> None:
        """A member with room left is refused when the project has none; the holder says so."""
        other = await make_user(self.database, "bob@example.org")
        project = await make_project(self.database, other, [other, self.user], {VM: (3, 2)})
        await self.charge(Provision(other, project, VM, 2))
        fault = await self.refusal(Provision(self.user, project, VM, 2))
        self.assertEqual(fault.data["provision"]["holder"], f"project:{project}")
        self.assertIsNone(fault.data["provision"]["source"])
        self.assertEqual((fault.data["limit"], fault.data["usage"]), (3, 2))
        await self.charge(Provision(self.user, project, VM, 1))

    async def test_release_of_too_much(self) -> None:
        """More than is in use cannot be given back, not even by force."""
        await self.charge(self.own(VM, 1))
        fault = await self.refusal(self.own(VM, -2), force=True)
        self.assertEqual(fault.status, 413)
        self.assertEqual(fault.data["name"], "NoQuantityError")
        self.assertEqual((fault.data["limit"], fault.data["usage"]), (0, 1))
        self.assertEqual(fault.data["provision"]["quantity"], -2)
        self.assertEqual(await self.usage(VM), (1, 1))

    async def test_no_holding(self) -> None:
        """An unknown resource, a foreign project and a text that is no id are a 404."""
        stranger = await make_user(self.database, "bob@example.org")
        for provision in (
            self.own("no.such", 1),
            Provision(self.user, stranger, VM, 1),
            Provision(self.user, "no-uuid", VM, 1),
        ):
            fault = await self.refusal(provision)
            self.assertIsInstance(fault, ItemNotFound)
            self.assertEqual(fault.data["name"], "NoHoldingError")
            self.assertEqual(fault.data["provision"]["resource"], provision.resource)

    async def test_force(self) -> None:
        """Forced charges pass the limit; what was over it may shrink step by step."""
        await self.charge(self.own(VM, 9), force=True)
        await self.charge(self.own(VM, -1))
        self.assertEqual(await self.usage(VM), (8, 8))
        self.assertEqual((await self.refusal(self.own(VM, 1))).data["usage"], 8)

    async def test_all_or_nothing(self) -> None:
        """One piece refused: none of the others is charged, even if the caller commits."""
        async with self.database.transaction("charge") as tx:
            with self.assertRaises(OverLimit):
                await self.quota.charge(tx, [self.own(DISK, GIB), self.own(VM, 5)])
        self.assertEqual(await self.usage(DISK), (0, 0))

    async def test_absurd_quantity(self) -> None:
        """A quantity that no cloud has is a 400, not an overflow."""
        self.assertIsInstance(await self.refusal(self.own(DISK, 2**63)), BadRequest)

    async def test_hidden_by_state(self) -> None:
        """A removed member and a suspended project have the limit 0, and may still give back."""
        project = await make_project(self.database, self.user, [self.user], {VM: (3, 3)})
        await self.charge(Provision(self.user, project, VM, 2))
        async with self.database.transaction("suspend") as tx:
            await ProjectStore(tx).set_state(project, "suspended")
        self.assertEqual(
            (await self.refusal(Provision(self.user, project, VM, 1))).data["limit"], 0
        )
        await self.charge(Provision(self.user, project, VM, -1))
        async with self.database.transaction("remove") as tx:
            await ProjectStore(tx).set_state(project, "active")
            await ProjectStore(tx).set_member(project, self.user, "removed")
        self.assertEqual(
            (await self.refusal(Provision(self.user, project, VM, 1))).data["limit"], 0
        )
        await self.charge(Provision(self.user, project, VM, -1))


class PendingTests(QuotaTestCase):
    async def pending(self, serial: str, *provisions: Provision) -> None:
        async with self.database.transaction("pending") as tx:
            await self.quota.charge_pending(tx, serial, provisions)

    async def settle(self, serial: str, accept: bool) -> bool:
        async with self.database.transaction("settle") as tx:
            return await self.quota.settle(tx, serial, accept)

    async def listed(self, resource: str) -> tuple[int, int]:
        listed = (await self.quota.listing(self.user))[self.user][resource]
        return listed["usage"], listed["pending"]

    async def test_accept_import(self) -> None:
        """A pending import counts at once, and is settled once."""
        await self.pending("s1", self.own(VM, 3))
        self.assertEqual(await self.listed(VM), (3, 3))
        with self.assertRaises(OverLimit):
            await self.pending("s2", self.own(VM, 2))
        self.assertTrue(await self.settle("s1", True))
        self.assertEqual(await self.listed(VM), (3, 0))
        self.assertFalse(await self.settle("s1", False))
        self.assertFalse(await self.settle("s2", True))
        self.assertEqual(await self.listed(VM), (3, 0))

    async def test_reject_release(self) -> None:
        """A release is room for others only when it is accepted."""
        await self.charge(self.own(VM, 4))
        await self.pending("s1", self.own(VM, -4))
        self.assertEqual(await self.listed(VM), (4, 4))
        self.assertEqual((await self.refusal(self.own(VM, 1))).data["name"], "NoCapacityError")
        self.assertTrue(await self.settle("s1", False))
        self.assertEqual(await self.listed(VM), (4, 0))
        await self.pending("s2", self.own(VM, -4))
        self.assertTrue(await self.settle("s2", True))
        self.assertEqual(await self.listed(VM), (0, 0))

    async def test_zero_provisions(self) -> None:
        """A charge of nothing is legal and leaves nothing to settle."""
        await self.pending("s1")
        await self.pending("s1", self.own(VM, 2), self.own(VM, -2))
        self.assertFalse(await self.settle("s1", True))


class ListingTests(QuotaTestCase):
    async def test_new_user(self) -> None:
        """A new user sees every visible resource of the system project, unused."""
        listed = await self.quota.listing(self.user)
        self.assertEqual(list(listed), [self.user])
        self.assertEqual(list(listed[self.user]), VISIBLE)
        self.assertEqual(
            listed[self.user][VM],
            {
                "limit": 4,
                "usage": 0,
                "pending": 0,
                "project_limit": 4,
                "project_usage": 0,
                "project_pending": 0,
            },
        )

    async def test_shared_project(self) -> None:
        """In a shared project, the usage of all is beside one's own; others see nothing."""
        other = await make_user(self.database, "bob@example.org")
        project = await make_project(self.database, other, [other, self.user], {VM: (8, 5)})
        await self.charge(Provision(other, project, VM, 3), Provision(self.user, project, VM, 1))
        listed = (await self.quota.listing(self.user))[project]
        self.assertEqual([listed[VM][key] for key in ("limit", "usage")], [5, 1])
        self.assertEqual([listed[VM][f"project_{key}"] for key in ("limit", "usage")], [8, 4])
        self.assertEqual(listed[RAM]["limit"], 0)
        stranger = await make_user(self.database, "carol@example.org")
        self.assertNotIn(project, await self.quota.listing(stranger))

    async def test_move(self) -> None:
        """Moving between projects frees in one what it charges in the other, or does nothing."""
        project = await make_project(self.database, self.user, [self.user], {VM: (2, 2)})
        await self.charge(self.own(VM, 3))
        async with self.database.transaction("move") as tx:
            await self.quota.move(tx, self.user, self.user, project, {VM: 2})
        self.assertEqual(await self.usage(VM), (1, 1))
        self.assertEqual(await self.usage(VM, project), (2, 2))
        with self.assertRaises(OverLimit):
            async with self.database.transaction("move") as tx:
                await self.quota.move(tx, self.user, self.user, project, {VM: 1})
        self.assertEqual(await self.usage(VM), (1, 1))

    async def test_sweep(self) -> None:
        """Holdings that say nothing are deleted, others stay."""
        await self.charge(self.own(VM, 1), self.own(RAM, GIB))
        await self.charge(self.own(VM, -1))
        async with self.database.transaction("sweep") as tx:
            self.assertEqual(await self.quota.sweep(tx), 2)
            self.assertEqual(await self.quota.sweep(tx), 0)
        self.assertEqual(await self.usage(RAM), (GIB, GIB))
        await self.charge(self.own(VM, 4))


class ConcurrencyTests(QuotaTestCase):
    limits = {
        "connections": 32, "waiting": 5000, "wait_seconds": 100, "statement_seconds": 60,
        "statement_limit_seconds": 60, "transaction_seconds": 60,
    }  # fmt: skip
    timeout = 120

    async def test_fifty_for_eight(self) -> None:
        """Of fifty members who ask at once in a project with room for eight, eight get it."""
        users = [await make_user(self.database, f"u{number}@a.org") for number in range(50)]
        project = await make_project(self.database, users[0], users, {VM: (8, 2)})

        async def ask(user: str) -> str:
            try:
                await self.charge(Provision(user, project, VM, 1))
            except OverLimit as fault:
                return str(fault.data["name"])
            return "charged"

        outcomes = Counter(await gatherResults([Deferred.fromCoroutine(ask(u)) for u in users]))
        self.assertEqual(outcomes, {"charged": 8, "NoCapacityError": 42})
        self.assertEqual((await self.quota.listing(users[0]))[project][VM]["project_usage"], 8)

    async def test_limit_changed_at_once(self) -> None:
        """A limit that is lowered while many charge holds for each charge that begins after it,
        and the usage is what was let in, never more than the limit before."""
        project = await make_project(self.database, self.user, [self.user], {VM: (40, 40)})
        projects = Projects(self.database)
        lowered = False
        let_in: list[bool] = []

        async def ask(number: int) -> None:
            begun_after = lowered
            try:
                await self.charge(Provision(self.user, project, VM, 1))
            except OverLimit:
                return
            let_in.append(begun_after)
            if number % 3 == 0:
                await self.charge(Provision(self.user, project, VM, -1))
                let_in.remove(begun_after)

        async def lower() -> None:
            nonlocal lowered
            await deferLater(reactor, 0.05)
            await projects.modify(project, ProjectChanges(limits=(LimitChange(VM, 0, 0),)))
            lowered = True
            await gatherResults([Deferred.fromCoroutine(ask(n)) for n in range(50)])

        running = [Deferred.fromCoroutine(ask(number)) for number in range(200)]
        await gatherResults([*running, Deferred.fromCoroutine(lower())])
        self.assertNotIn(True, let_in)
        self.assertEqual((await self.usage(VM, project))[1], len(let_in))
        self.assertLessEqual(len(let_in), 40)

    async def test_many_at_once(self) -> None:
        """Thousands of charges and settlements on 32 connections: no deadlock, exact sums."""
        users = [await make_user(self.database, f"u{number}@a.org") for number in range(4)]
        limits = {VM: (20, 8), RAM: (30, 9), DISK: (10**6, 10**6)}
        projects = [await make_project(self.database, users[0], users, limits) for _ in range(3)]
        rush = Rush(self.database, self.quota, users, projects, sorted(limits))
        await gatherResults([Deferred.fromCoroutine(rush.act(n)) for n in range(OPERATIONS)], True)
        async with self.database.transaction("look") as tx:
            rows = await self.quota.usage_rows(tx, list(limits))
        held = {(row.project, row.member, row.resource): row for row in rows}
        self.assertTrue(all(row.usage_min == row.usage_max for row in rows))
        self.assertEqual(
            {key: row.usage_max for key, row in held.items() if row.usage_max},
            {key: value for key, value in rush.books.items() if value},
        )
        refused = rush.refusals["NoCapacityError"], rush.refusals["NoQuantityError"]
        self.assertGreater(min(refused), 100)
        self.assertGreater(sum(rush.books.values()), 0)
