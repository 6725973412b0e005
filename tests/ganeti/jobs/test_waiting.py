"""Waiting for the jobs of a subject, with a service beside and without one."""

from __future__ import annotations

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from synnefo_tx.caller import OPERATOR
from synnefo_tx.faults import Conflict, ServiceUnavailable
from synnefo_tx.ganeti.jobs.waiting import JobWaiting, check_success
from synnefo_tx.ganeti.memory.faults import CallFault, Fault, JobFault
from synnefo_tx.settings import Ganeti
from tests.support.cloud import CloudTestCase


class WaitingTests(CloudTestCase):
    async def setUp(self) -> None:
        await super().setUp()
        self.looks = 0
        self.seen: list[str] = []

        async def look(backend: int) -> None:
            self.looks += 1
            await self.app.poller.look(backend)

        settings = evolve(Ganeti(), open_poll_seconds=0.05)
        self.waiting = JobWaiting(self.database, look, reactor, settings)

    def progress(self, intent, trouble: str) -> None:
        self.seen.append(trouble or intent.job_status)

    async def test_alone(self) -> None:
        """Where nobody polls, the waiting looks itself until the job has ended."""
        id = await self.create()
        ended = await self.waiting.until_ended(f"server:{id}", 30, self.progress)
        self.assertEqual([each.outcome for each in ended], ["success"])
        self.assertEqual(await self.operstate(id), "STARTED")
        self.assertGreater(self.looks, 0)
        check_success(ended)

    async def test_beside(self) -> None:
        """News that another process brought end the waiting without a look of ours."""
        id = await self.create()
        waiting = evolve(self.waiting, settings=evolve(Ganeti(), open_poll_seconds=1000.0))
        work = Deferred.fromCoroutine(waiting.until_ended(f"server:{id}", 30, self.progress))
        await self.settle()
        self.assertEqual([each.outcome for each in await work], ["success"])
        self.assertEqual(self.looks, 0)

    async def test_ended(self) -> None:
        """What has ended before the waiting began is told, and where nothing was asked nothing
        is waited for."""
        self.ganeti["alpha"].faults.add(Fault(JobFault.FAILS, opcode="OP_INSTANCE_CREATE"))
        id = await self.create()
        await self.settle()
        ended = await self.waiting.until_ended(f"server:{id}", 30, self.progress)
        self.assertEqual([each.outcome for each in ended], ["error"])
        self.assertEqual(await self.waiting.until_ended("server:99", 30, self.progress), [])
        self.assertEqual((self.looks, self.seen), (0, []))

    async def test_failed(self) -> None:
        """A job that fails is told with its reason."""
        self.ganeti["alpha"].faults.add(Fault(JobFault.FAILS, opcode="OP_INSTANCE_CREATE"))
        id = await self.create()
        ended = await self.waiting.until_ended(f"server:{id}", 30, self.progress)
        with self.assertRaisesRegex(Conflict, f"OP_INSTANCE_CREATE of snf-{id} .*error"):
            check_success(ended)

    async def test_limit(self) -> None:
        """A job that lasts too long, or a cluster that is silent, ends the waiting, not the job."""
        id = await self.built()
        await self.app.compute.actions.shutdown(OPERATOR, id)
        self.ganeti["alpha"].faults.add(Fault(CallFault.REQUEST_LOST))
        with self.assertRaisesRegex(ServiceUnavailable, "OP_INSTANCE_SHUTDOWN .* it goes on"):
            await self.waiting.until_ended(f"server:{id}", 0.4, self.progress)
        self.assertEqual((await self.server(id)).task, "STOP")
