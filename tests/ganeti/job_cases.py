"""Jobs, for every cluster."""

import json

from synnefo_tx.ganeti import requests
from tests.ganeti.cluster_support import REASON, ClusterSupport


class JobCases(ClusterSupport):
    """Submission, order and fate of jobs."""

    async def test_unknown_job(self):
        """A job id that was never given is answered without a status."""
        job = await self.rapi.job(999_999)
        self.assertEqual((job.known, job.archived), (False, False))
        status, body = await self.raw("GET", "/2/jobs/999999")
        self.assertEqual((status, body["id"], body["status"]), (200, 999_999, None))

    async def test_found_by_reason(self):
        """A job is found again by the reason given, among those after the highest id known."""
        before = await self.rapi.highest_job_id()
        job_id = await self.rapi.startup(self.name("nosuch"), "synnefo:lost & found")
        self.assertGreater(job_id, before)
        foreign = await self.rapi.startup(self.name("nosuch"), "somebody else")
        found = {job.id: job for job in await self.rapi.jobs_since(before)}
        self.assertEqual(found[job_id].reasons, ("synnefo:lost & found",))
        self.assertEqual(found[foreign].reasons, ("somebody else",))
        self.assertEqual(found[job_id].ops[0]["OP_ID"], "OP_INSTANCE_STARTUP")
        self.assertEqual(found[job_id].ops[0]["instance_name"], self.name("nosuch"))
        self.assertEqual(list(await self.rapi.jobs_since(foreign)), [])
        for each in (job_id, foreign):
            await self.settle(each)

    async def test_many_by_id(self):
        """Several jobs are one request; those unknown are told apart; order is by id."""
        first = await self.rapi.startup(self.name("nosuch"), REASON)
        second = await self.rapi.startup(self.name("nosuch"), REASON)
        jobs = await self.rapi.jobs_by_id([second, 999_999, first, first])
        self.assertEqual([job.id for job in jobs], [first, second, 999_999])
        self.assertEqual([job.known for job in jobs], [True, True, False])
        self.assertEqual(list(await self.rapi.jobs_by_id([])), [])
        for each in (first, second):
            await self.settle(each)

    async def test_life_of_a_job(self):
        """A job tells its times and log; what is wrong with the cluster's state fails in it."""
        job = await self.settle(await self.rapi.startup(self.name("nosuch"), REASON))
        self.assertEqual(job.status, "error")
        text = f"Instance '{self.name('nosuch')}' not known"
        self.assertEqual(job.opresult[0], ["OpPrereqError", [text, "unknown_entity"]])
        self.assertLessEqual(job.received_at, job.started_at)
        self.assertLessEqual(job.started_at, job.ended_at)
        self.assertEqual(job.oplog, ((),))

    async def test_archived_job(self):
        """An archived job is found by id and by what came after, but no longer counts."""
        job_id = await self.rapi.startup(self.name("nosuch"), REASON)
        before = (await self.settle(job_id)).id - 1
        await self.archive(job_id)
        job = await self.rapi.job(job_id)
        self.assertEqual((job.archived, job.status), (True, "error"))
        self.assertIn(job_id, [job.id for job in await self.rapi.jobs_since(before)])
        status, listed = await self.raw("GET", "/2/jobs")
        self.assertEqual(status, 200)
        self.assertNotIn(job_id, [job["id"] for job in listed])
        self.assertEqual(
            await self.rapi.cancel_job(job_id), (False, f"Job {job_id} not found in queue")
        )

    async def test_query_language(self):
        """Filters, unknown fields, and what a filter may not be."""
        job_id = await self.rapi.startup(self.name("nosuch"), REASON)
        await self.settle(job_id)

        async def query(qfilter, *fields):
            body = json.dumps({"fields": fields or ["id"], "qfilter": qfilter}).encode()
            return await self.raw("PUT", "/2/query/job", body)

        this = ["=", "id", job_id]
        for qfilter in (
            this,
            ["|", this],
            ["&", [">=", "id", job_id], ["<=", "id", job_id]],
            ["&", this, ["!", [">", "id", job_id]]],
            ["&", ["=", "status", "error"], this],
            ["&", this, ["&"]],
        ):
            status, body = await query(qfilter)
            self.assertEqual((status, body["data"]), (200, [[[0, job_id]]]), qfilter)
            self.assertEqual(body["fields"][0]["name"], "id")
        self.assertEqual((await query(["|"]))[1]["data"], [])
        self.assertEqual((await query(["!=", "id", job_id], "id"))[0], 200)
        self.assertEqual((await query(this, "id", "bogus"))[1]["data"], [[[0, job_id], [1, None]]])
        absent = (await query(["=", "id", 999_999], "id", "status", "archived"))[1]["data"]
        self.assertEqual(absent, [[[0, 999_999], [3, None], [3, None]]])
        self.assertEqual((await query(["=", "id", "3"]))[0], 500)
        self.assertEqual((await query(["bogus", "id", 3]))[0], 502)
        self.assertEqual((await query(["&", ["=", "archived", True]]))[0], 502)

    async def test_depends(self):
        """A job waits for those it depends on, and fails when one ends otherwise than allowed."""
        await self.network(connected=False)
        name = self.name("net")
        slow = await self.creation(osparams={"os_sleep": "1"})
        body = requests.connect_body(self.group, mode="bridged", link=self.link, depends=[slow])
        good = await self.rapi.connect_network(name, body, REASON)
        bad = await self.rapi.delete_network(name, REASON, depends=[(slow, ["error"])])
        chained = await self.rapi.delete_network(name, REASON, depends=[(bad, ["success"])])
        lost = await self.rapi.delete_network(name, REASON, depends=[(999_999, ["success"])])
        await self.until(slow, lambda job: job.status == "running")
        self.assertEqual((await self.rapi.job(good)).status, "queued")
        slow_job, good_job = await self.settle(slow), await self.settle(good)
        self.assertEqual((slow_job.status, good_job.status), ("success", "success"))
        self.assertGreaterEqual(good_job.started_at, slow_job.ended_at)
        texts = [(await self.settle(job_id)).opresult[0] for job_id in (bad, chained, lost)]
        wrong = "Dependency job {} finished with status '{}', not one of '{}' as required"
        self.assertEqual(texts[0], ["OpExecError", [wrong.format(slow, "success", "error")]])
        self.assertEqual(texts[1], ["OpExecError", [wrong.format(bad, "error", "success")]])
        self.assertEqual(texts[2], ["OpExecError", ["Dependency error: Job 999999 not found"]])

    async def test_order_per_instance(self):
        """A job on an instance that is being created waits for it; before, it is unknown."""
        creation = await self.creation(osparams={"os_sleep": "3"})
        early = await self.rapi.shutdown(self.name("vm"), REASON)
        self.assertEqual((await self.settle(early)).opresult[0][1][1], "unknown_entity")
        await self.until(creation, lambda job: "adding disks" in str(job.oplog))
        stop = await self.rapi.shutdown(self.name("vm"), REASON)
        again = await self.creation()
        waiting = await self.until(stop, lambda job: job.status != "queued")
        self.assertEqual(waiting.status, "waiting")
        self.assertIsNotNone(waiting.started_at)
        refused = await self.settle(again)
        self.assertEqual(refused.opresult[0][1][1], "already_exists")
        created, stopped = await self.settle(creation), await self.settle(stop)
        self.assertEqual((created.status, stopped.status), ("success", "success"))
        self.assertGreaterEqual(stopped.ended_at, created.ended_at)
        self.assertEqual((await self.rapi.instance(self.name("vm")))["status"], "ADMIN_down")

    async def test_removal_after_creation(self):
        """A removal that depends on the creation waits for it, however early it was asked for."""
        creation = await self.creation(osparams={"os_sleep": "1"})
        statuses = ["canceled", "error", "success"]
        removal = await self.rapi.delete_instance(
            self.name("vm"), REASON, shutdown_timeout_seconds=0, depends=[(creation, statuses)]
        )
        created, removed = await self.settle(creation), await self.settle(removal)
        self.assertEqual((created.status, removed.status), ("success", "success"))
        self.assertGreaterEqual(removed.started_at, created.ended_at)
        self.assertNotIn(self.name("vm"), [one["name"] for one in await self.rapi.instances()])
        self.instances.clear()

    async def test_cancel(self):
        """A queued job can be canceled, a running or ended one not."""
        creation = await self.creation(osparams={"os_sleep": "2"})
        queued = await self.rapi.delete_network("x", REASON, depends=[(creation, ["success"])])
        await self.until(creation, lambda job: "adding disks" in str(job.oplog))
        self.assertEqual(await self.rapi.cancel_job(queued), (True, f"Dequeued job {queued}"))
        done, text = await self.rapi.cancel_job(creation)
        self.assertEqual((done, "can't cancel" in text), (False, True))
        job = await self.settle(queued)
        self.assertEqual((job.status, job.started_at), ("canceled", None))
        self.assertEqual((await self.settle(creation)).status, "success")
        text = f"Job {creation} not found in queue"
        self.assertEqual(await self.rapi.cancel_job(creation), (False, text))

    async def test_death_of_a_job(self):
        """A job whose process is killed ends in error without a result; what it did stays."""
        creation = await self.creation(osparams={"os_sleep": "3"})
        await self.until(creation, lambda job: "running the instance OS" in str(job.oplog))
        await self.kill_job(creation)
        job = await self.settle(creation)
        self.assertEqual(job.status, "error")
        self.assertEqual(list(job.opresult), [f"detected death of job {creation}"])
        self.assertEqual((await self.rapi.instance(self.name("vm")))["status"], "ADMIN_down")

    async def test_wait(self):
        """Waiting for a job answers as soon as it differs from what was seen."""
        job_id = await self.creation(osparams={"os_sleep": "1"})
        seen = {"fields": ["status"], "previous_job_info": None, "previous_log_serial": None}
        status, body = await self.raw("GET", f"/2/jobs/{job_id}/wait", json.dumps(seen).encode())
        self.assertEqual((status, sorted(body)), (200, ["job_info", "log_entries"]))
        await self.settle(job_id)
        status, body = await self.raw("GET", f"/2/jobs/{job_id}/wait", json.dumps(seen).encode())
        self.assertEqual(body["job_info"], ["success"])
