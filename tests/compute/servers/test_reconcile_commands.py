"""Comparing servers and quota with what there is, by command."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import deferLater

from synnefo_tx.ganeti.memory.faults import CallFault, Fault
from tests.support.cloud import CloudCommandTestCase


class ReconcileServersTests(CloudCommandTestCase):
    cluster_names = ("alpha",)

    async def kinds(self, *options: str, status: int = 1) -> dict[tuple[str, str], str]:
        """(instance, kind) and result of each line."""
        ran = await self.command("reconcile-servers", "--output-format", "csv", *options)
        self.assertEqual(ran.status, status, ran.err)
        cells = [line.split(",") for line in ran.lines[1:]]
        return {(each[1], each[2]): each[-1] for each in cells}

    async def orphan(self) -> int:
        """A server that is forgotten here while its instance stays."""
        id = await self.built()
        async with self.database.transaction("test") as tx:
            await tx.run("DELETE FROM ports WHERE server = %(id)s", {"id": id})
            await tx.run("DELETE FROM volumes WHERE server = %(id)s", {"id": id})
            await tx.run("DELETE FROM servers WHERE id = %(id)s", {"id": id})
        return id

    async def test_same(self) -> None:
        """When nothing differs the command says nothing and ends well."""
        await self.built()
        ran = await self.command("reconcile-servers")
        self.assertEqual((ran.status, ran.out, ran.err), (0, "", ""))

    async def test_dry_run(self) -> None:
        """Without an option to fix, all kinds of differences are told and nothing changes."""
        stopped, stale, sized = [await self.built() for _ in range(3)]
        orphan = await self.orphan()
        alpha = self.ganeti["alpha"]
        alpha.kill_guest(f"snf-{stopped}")
        alpha.remove_behind(f"snf-{stale}")
        rapi = await self.app.ganeti.backends.rapi(1)
        await rapi.modify_instance(f"snf-{sized}", {"beparams": {"vcpus": 2}}, "by hand")
        for _ in range(100):
            listed = (await self.app.poller.read(1)).instances
            if any(each["beparams"]["vcpus"] == 2 for each in listed):
                break
            await self.wait()
        expected = {
            (f"snf-{stopped}", "state"): "",
            (f"snf-{stale}", "stale"): "",
            (f"snf-{sized}", "flavor"): "",
            (f"snf-{orphan}", "orphan"): "",
        }
        self.assertEqual(await self.kinds(), expected)
        self.assertEqual(await self.kinds(), expected)
        fixed = await self.kinds("--fix-unsynced", "--fix-unsynced-flavors")
        self.assertEqual(
            fixed,
            {**expected, (f"snf-{stopped}", "state"): "fixed",
             (f"snf-{sized}", "flavor"): "fixed"},
        )  # fmt: skip
        self.assertEqual(await self.operstate(stopped), "STOPPED")
        self.assertEqual((await self.server(sized)).flavor, self.flavors[2])
        fixed = await self.kinds("--fix-all", status=0)
        self.assertEqual(set(fixed.values()), {"fixed"})
        await self.settle()
        self.assertEqual(await self.operstate(stale), "DESTROYED")
        for _ in range(100):
            if f"snf-{orphan}" not in self.instances():
                break
            await self.wait()
        self.assertEqual(set(self.instances()), {f"snf-{stopped}", f"snf-{sized}"})
        self.assertEqual(await self.kinds(status=0), {})

    async def wait(self) -> None:
        """Until the cluster has done a little."""
        await deferLater(reactor, 0.02)

    async def test_brake_on_stale(self) -> None:
        """Most servers missing at once is not believed, unless the operator means it."""
        ids = [await self.built() for _ in range(4)]
        for id in ids[:3]:
            self.ganeti["alpha"].remove_behind(f"snf-{id}")
        results = await self.kinds("--fix-all")
        self.assertEqual(len(results), 3)
        for text in results.values():
            self.assertIn("not believed: the cluster lacks 3 of 4", text)
        self.assertEqual(await self.operstate(ids[0]), "STARTED")
        await self.kinds("--fix-stale", "--i-mean-it", status=0)
        self.assertEqual(await self.operstate(ids[0]), "DESTROYED")

    async def test_brake_on_orphans(self) -> None:
        """Most instances unknown here is not believed: none is removed, unless it is meant."""
        for _ in range(4):
            await self.orphan()
        results = await self.kinds("--fix-all")
        for text in results.values():
            self.assertIn("not believed: 4 of 4 instances", text)
        self.assertEqual(len(self.instances()), 4)
        await self.kinds("--fix-orphans", "--i-mean-it", status=0)
        for _ in range(100):
            if not self.instances():
                break
            await self.wait()
        self.assertEqual(self.instances(), {})

    async def test_no_such_size(self) -> None:
        """A size that no flavor has cannot be taken over, and stays a difference."""
        id = await self.built()
        async with self.database.transaction("test") as tx:
            await tx.run("UPDATE flavors SET cpu = 3 WHERE id = %(id)s", {"id": self.flavor})
        results = await self.kinds("--fix-all")
        self.assertEqual(results, {(f"snf-{id}", "flavor"): "no flavor has this size"})


class SilentClusterTests(CloudCommandTestCase):
    cluster_names = ("alpha", "beta")

    async def test_named(self) -> None:
        """A cluster that does not answer is named, the others are compared all the same."""
        id = await self.built()
        at = (await self.server(id)).backend
        here = next(name for name, backend in self.backends.items() if backend == at)
        silent = next(name for name in self.cluster_names if name != here)
        self.ganeti[here].kill_guest(f"snf-{id}")
        self.ganeti[silent].faults.add(Fault(CallFault.REQUEST_LOST))
        ran = await self.command("reconcile-servers", "--fix-all")
        self.assertEqual(ran.status, 1)
        self.assertIn(f"clusters that do not answer: {silent}\n", ran.err)
        self.assertEqual(await self.operstate(id), "STOPPED")
        self.assertEqual((await self.command("reconcile-servers")).status, 0)

    async def test_one(self) -> None:
        """One cluster alone is compared; one that is offline is left out, but not if named."""
        self.ganeti["beta"].faults.add(Fault(CallFault.REQUEST_LOST, times=9))
        only = ("reconcile-servers", "--backend-id")
        self.assertEqual((await self.command(*only, str(self.backends["alpha"]))).status, 0)
        await self.command("backend-modify", str(self.backends["beta"]), "--offline", "True")
        self.assertEqual((await self.command("reconcile-servers")).status, 0)
        self.assertIn("do not answer", await self.refusal(*only, str(self.backends["beta"])))
        self.assertIn("not found", await self.refusal(*only, "77"))


class ReconcileResourcesTests(CloudCommandTestCase):
    name = "reconcile-resources-cyclades"

    async def test_fixed(self) -> None:
        """Usage that is wrong is told, and corrected on demand, of all or of one user."""
        other = await self.make_caller("other@example.org")
        await self.built()
        await self.built(other)
        ran = await self.command(self.name)
        self.assertEqual((ran.status, ran.out), (0, ""))
        async with self.database.transaction("test") as tx:
            await tx.run(
                "UPDATE holdings SET usage_min = 7, usage_max = 7 WHERE resource = 'cyclades.vm'"
            )
        before = (await self.usage())["cyclades.vm"]
        ran = await self.command(self.name, "--output-format", "csv")
        self.assertEqual(ran.status, 1)
        self.assertEqual(ran.lines[0], "Type,Holder,Source,Resource,Database,Quotaholder")
        own = self.user.default_project
        self.assertIn(f"user,{self.user.user},{own},cyclades.vm,1,7", ran.lines)
        self.assertIn(f"project,{own},,cyclades.vm,1,7", ran.lines)
        self.assertEqual((await self.usage())["cyclades.vm"], before)
        argv = (self.name, "--fix", "--user", "user@example.org")
        self.assertEqual((await self.command(*argv)).status, 0)
        self.assertEqual((await self.usage())["cyclades.vm"], 1)
        self.assertEqual((await self.usage(other))["cyclades.vm"], 7)
        self.assertEqual((await self.command(self.name)).status, 1)
        self.assertEqual((await self.command(self.name, "--fix")).status, 0)
        await self.assert_exact()
