"""Giving up a cluster."""

from __future__ import annotations

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater

from synnefo_tx.caller import OPERATOR
from synnefo_tx.faults import Conflict, ServiceUnavailable
from synnefo_tx.ganeti.memory.faults import CallFault, Fault
from synnefo_tx.settings import Ganeti, Settings
from tests.support.cloud import CloudCommandTestCase

QUICK = Settings(ganeti=evolve(Ganeti(), open_poll_seconds=0.05))


class RemoveTests(CloudCommandTestCase):
    settings = QUICK
    cluster_names = ("alpha", "beta")

    async def setUp(self) -> None:
        await super().setUp()
        self.alpha = str(self.backends["alpha"])
        await self.app.ganeti.backends.modify(self.backends["beta"], {"drained": True})
        self.gone = await self.built()
        await self.app.compute.network_administration.bring_everywhere(self.public)
        await self.settle()

    async def remove_server(self) -> None:
        await self.app.compute.actions.delete(OPERATOR, self.gone)
        await self.settle()

    async def names(self) -> list[str]:
        return [row["clustername"] for row in await self.records("backend-list")]

    async def test_removed(self) -> None:
        """Its rows go, our networks go from it and stay on others, deleted servers outlive it."""
        await self.remove_server()
        ran = await self.command("backend-remove", self.alpha)
        self.assertEqual((ran.status, ran.err), (0, f"Backend {self.alpha} (alpha) was removed\n"))
        self.assertEqual(await self.names(), ["beta"])
        self.assertEqual(dict(self.ganeti["alpha"].cluster.store.networks), {})
        self.assertIn(f"snf-net-{self.public}", self.ganeti["beta"].cluster.store.networks)
        rows = await self.records("server-list", "--deleted", "-o", "id,backend")
        self.assertEqual(rows, [{"id": str(self.gone), "backend": ""}])
        self.assertEqual((await self.records("server-show", str(self.gone)))[0]["deleted"], "True")
        ran = await self.command("server-inspect", str(self.gone))
        self.assertEqual((ran.status, ran.err), (0, "Its cluster was removed\n"))
        self.assertIn("not found", await self.refusal("backend-remove", self.alpha))
        self.backends.pop("alpha")
        await self.app.ganeti.backends.modify(self.backends["beta"], {"drained": False})
        await self.built()
        await self.assert_exact()

    async def test_in_use(self) -> None:
        """A cluster with a live server stays as it is."""
        said = await self.refusal("backend-remove", self.alpha)
        self.assertIn("1 servers live there", said)
        self.assertEqual(await self.names(), ["alpha", "beta"])
        self.assertFalse((await self.app.ganeti.backends.get(self.backends["alpha"])).drained)
        self.assertIn(f"snf-net-{self.public}", self.ganeti["alpha"].cluster.store.networks)

    async def test_silent(self) -> None:
        """A cluster that does not answer, or is offline, is given up too; networks stay there."""
        await self.remove_server()
        self.ganeti["alpha"].faults.add(Fault(CallFault.REQUEST_LOST))
        ran = await self.command("backend-remove", self.alpha)
        self.assertEqual(ran.status, 0, ran.err)
        self.assertIn("alpha does not answer", ran.err)
        beta = self.backends["beta"]
        await self.app.ganeti.backends.modify(beta, {"offline": True})
        self.assertIn("offline", (await self.command("backend-remove", str(beta))).err)
        self.assertEqual(await self.names(), [])
        self.assertEqual(await self.records("network-list", "-o", "backends"), [{"backends": ""}])

    async def test_ending_network(self) -> None:
        """A network that waited for its removal there alone ends with the cluster."""
        await self.remove_server()
        networks = self.app.compute.networks
        made = await networks.create_private(self.user, "lan", "MAC_FILTERED", None)
        async with self.database.transaction("test") as tx:
            await networks.bring(tx, await networks.get_visible(tx, OPERATOR, made.id), 1)
        await self.settle()
        await self.app.ganeti.backends.modify(1, {"offline": True})
        await networks.delete(OPERATOR, made.id)
        self.assertFalse((await networks.show(OPERATOR, made.id)).deleted)
        self.assertEqual((await self.command("backend-remove", "1")).status, 0)
        self.assertTrue((await networks.show(OPERATOR, made.id)).deleted)
        await self.assert_exact()

    async def test_race(self) -> None:
        """Beside creates a cluster goes only if none of them came there; none is half made."""
        await self.remove_server()
        removal, alpha = self.app.compute.backend_removal, self.backends["alpha"]

        async def create() -> bool:
            try:
                await self.create()
            except ServiceUnavailable:
                return False
            return True

        async def remove() -> bool:
            try:
                await removal.drain(alpha)
                await removal.forget(alpha)
            except Conflict:
                return False
            return True

        work = [Deferred.fromCoroutine(create()) for _ in range(3)]
        work.insert(1, Deferred.fromCoroutine(remove()))
        results = await DeferredList(work, fireOnOneErrback=True)
        _, removed = results.pop(1)
        made = sum(result for _, result in results)
        self.assertNotEqual(removed, bool(made))
        self.assertEqual(len(await self.records("server-list")), made)
        if removed:
            self.backends.pop("alpha")
        await self.settle()
        await self.assert_exact()

    async def test_poller(self) -> None:
        """Who watches the cluster ceases to when it is gone, in every process."""
        await self.remove_server()
        poller = self.app.poller
        poller.startService()
        self.addCleanup(lambda: Deferred.fromCoroutine(poller.stopService()))
        for wanted in ({1, 2}, {2}):
            for _ in range(200):
                if set(poller.lags) == wanted:
                    break
                await deferLater(reactor, 0.05)
            self.assertEqual(set(poller.lags), wanted)
            if 1 in wanted:
                self.assertEqual((await self.command("backend-remove", "1")).status, 0)
                # The next listing of instances tells.
                poller.lags[1].listed = None
