"""Charges in SQL against the rule in Python, for any sequence of acts."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from synnefo_tx.faults import Fault
from synnefo_tx.identity.projects.store import ProjectStore
from synnefo_tx.identity.quota.model import Provision
from synnefo_tx.identity.quota.operations import Quota
from tests.identity.quota.charges import Charges
from tests.support.database import TestServer
from tests.support.identity import make_project, make_user
from tests.support.serial import finish, serial_database

VM, CPU = "cyclades.vm", "cyclades.cpu"
PEOPLE = ("alice", "bob", "carol")
LIMITS = {VM: (6, 4), CPU: (10, 10)}

people = st.sampled_from(PEOPLE)
projects = st.sampled_from(["one", "two"])
resources = st.sampled_from([VM, CPU, CPU, VM, "no.such"])
pieces = st.lists(
    st.tuples(people, projects, resources, st.integers(-4, 5)), min_size=1, max_size=4
)
serials = st.sampled_from(["1", "2", "3"])
steps = st.one_of(
    st.tuples(st.just("charge"), pieces, st.booleans()),
    st.tuples(st.just("pending"), serials, pieces),
    st.tuples(st.just("settle"), serials, st.booleans()),
    st.tuples(st.just("move"), people, st.dictionaries(resources, st.integers(1, 4), min_size=1)),
    st.tuples(st.just("limit"), projects, st.sampled_from([VM, CPU]), st.integers(0, 9)),
    st.tuples(st.just("project"), projects, st.booleans()),
    st.tuples(st.just("member"), projects, people, st.booleans()),
)


class ChargesTests(TestCase):
    async def setUp(self) -> None:
        server = TestServer.get()
        await server.template()
        url = server.clone()
        self.addCleanup(server.drop, url)
        self.database = serial_database(url)
        self.addCleanup(lambda: finish(self.database.close()))
        self.quota = Quota(self.database)
        self.ids = {name: await make_user(self.database, f"{name}@a.org") for name in PEOPLE}
        members = [self.ids["alice"], self.ids["bob"]]
        for name in ("one", "two"):
            self.ids[name] = await make_project(self.database, members[0], members, {})

    async def reset(self) -> Charges:
        """Nothing used, the same limits and members as before; the model of that."""
        where = [self.ids["one"], self.ids["two"]]
        limits = {(project, key): each for project in where for key, each in LIMITS.items()}
        who = [self.ids["alice"], self.ids["bob"]]
        members = {(project, user): True for project in where for user in who}
        async with self.database.transaction("reset") as tx:
            await tx.run("TRUNCATE holdings, provisions")
            store = ProjectStore(tx)
            for (project, key), each in limits.items():
                await store.set_limits(project, key, *each)
                await store.set_state(project, "active")
            for project, user in members:
                await store.set_member(project, user, "accepted")
        return Charges(limits, members)

    async def charge(self, act) -> str | None:
        """Do a charge; the refusal's name. A refused one is committed, to see that it is void."""
        async with self.database.transaction("charge") as tx:
            try:
                await act(tx)
            except Fault as fault:
                return fault.data["name"]
        return None

    async def apply(self, model: Charges, step) -> tuple[str | None, str | None]:
        """Take a step in SQL and in the model; what each says."""
        kind, *arguments = step
        if kind == "charge":
            pieces, force = self.named(arguments[0]), arguments[1]
            wanted = [Provision(*each) for each in pieces]
            ours = await self.charge(lambda tx: self.quota.charge(tx, wanted, force=force))
            return ours, model.charge(pieces, force)
        if kind == "pending":
            serial, pieces = arguments[0], self.named(arguments[1])
            if serial in model.pending:
                return None, None
            wanted = [Provision(*each) for each in pieces]
            ours = await self.charge(lambda tx: self.quota.charge_pending(tx, serial, wanted))
            return ours, model.charge(pieces, serial=serial)
        if kind == "move":
            who, amounts = arguments
            names = [self.ids[name] for name in (who, "one", "two")]
            ours = await self.charge(lambda tx: self.quota.move(tx, *names, amounts))
            away = [(names[0], names[1], key, -much) for key, much in amounts.items()]
            there = [(names[0], names[2], key, much) for key, much in amounts.items()]
            return ours, model.charge(away + there)
        async with self.database.transaction("change") as tx:
            await self.change(tx, model, kind, arguments)
        return None, None

    def named(self, pieces):
        return [(self.ids[who], self.ids[where], *rest) for who, where, *rest in pieces]

    async def change(self, tx, model: Charges, kind: str, arguments) -> None:
        store = ProjectStore(tx)
        if kind == "settle":
            serial, accept = arguments
            known = serial in model.pending
            self.assertEqual(await self.quota.settle(tx, serial, accept), known)
            model.settle(serial, accept)
            return
        project = self.ids[arguments[0]]
        if kind == "limit":
            what, much = arguments[1:]
            model.limits[project, what] = (much, much // 2)
            await store.set_limits(project, what, much, much // 2)
        elif kind == "project":
            model.active[project] = arguments[1]
            await store.set_state(project, "active" if arguments[1] else "suspended")
        elif (project, self.ids[arguments[1]]) in model.members:
            user = self.ids[arguments[1]]
            model.members[project, user] = arguments[2]
            await store.set_member(project, user, "accepted" if arguments[2] else "removed")

    async def recorded(self) -> dict:
        rows = await self.database.read(
            "SELECT project, member, resource, usage_min, usage_max FROM holdings"
        )
        return {row[:3]: list(row[3:]) for row in rows if row[3:] != (0, 0)}

    @settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(steps, max_size=14))
    def test_any_sequence(self, sequence) -> None:
        """Whatever is charged, settled, moved, limited, suspended: usage is what the rule says."""

        async def run() -> None:
            model = await self.reset()
            for step in sequence:
                ours, expected = await self.apply(model, step)
                self.assertEqual(ours, expected, step)
                used = {key: value for key, value in model.usage.items() if value != [0, 0]}
                self.assertEqual(await self.recorded(), used, step)

        finish(run())
