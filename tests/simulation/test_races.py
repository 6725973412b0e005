"""Races that are known by name, each with what must come of it."""

from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.jobs.model import JobNews
from synnefo_tx.ganeti.jobs.store import JobStore
from synnefo_tx.ganeti.memory import CallFault, ClusterConfig, JobFault
from synnefo_tx.ganeti.memory import Fault as ClusterFault
from tests.simulation import invariants
from tests.simulation.gates import Fault, Gate
from tests.simulation.scenario import User, base, server_at_rest, settle
from tests.simulation.world import Saved, World

SLOW = ClusterConfig(name="cluster0.example", job_seconds=60.0)
CREATION = {"method": "POST", "path": "/2/instances"}


class RaceTests(SynchronousTestCase):
    """The world is at rest after each, with all invariants."""

    def begin(self, saved: Saved, config: ClusterConfig | None = None, **options: Any) -> World:
        world = World(self.id(), saved, cluster_config=config)
        self.addCleanup(self.flushLoggedErrors)
        self.addCleanup(world.end)
        world.after_commit = lambda: invariants.after_commit(world)
        self.world = world
        world.start(**options)
        return world

    def end(self) -> None:
        self.world.heal()
        settle(self.world)
        invariants.at_rest(self.world)

    def row(self, sql: str) -> tuple[Any, ...]:
        return self.world.postgres.run(sql).rows[0]

    def state(self) -> str:
        return self.row("SELECT operstate FROM servers")[0]

    def reasons(self) -> str:
        return " ".join(row[0] for row in self.world.postgres.run(
            "SELECT message FROM server_diagnostics").rows)  # fmt: skip

    def jobs(self, opcode: str) -> int:
        jobs = self.world.clusters[0].cluster.store.jobs.values()
        return sum(job.ops[0].input["OP_ID"] == opcode for job in jobs)

    def until(self, sql: str, limit_seconds: float = 120) -> None:
        world = self.world
        held = world.run(lambda: world.is_quiet and self.row(sql)[0], limit_seconds)
        self.assertTrue(held, sql)

    def pace(self, seconds: float) -> None:
        """How long jobs take from now on, and what is left of those that run."""
        cluster = self.world.clusters[0].cluster
        cluster.config = evolve(cluster.config, job_seconds=seconds)

    def crash_at(self, kind: str, text: str) -> None:
        """Kill the first controller before the gate that the text is part of."""

        def choose(gate: Gate) -> Fault | None:
            wanted = gate.kind == kind and text in gate.text and gate.controller == 0
            return Fault.CRASH if wanted else None

        self.world.choose = choose

    def test_remove_overtakes_create(self):
        """A server deleted while it is built keeps its address until nothing can build it any
        more, and no instance is left."""
        world = self.begin(base(), SLOW)
        server = world.result(User(world).create()).json["server"]["id"]
        self.until("SELECT job_status = 'running' FROM servers")
        self.assertFalse(world.clusters[0].cluster.store.instances)
        self.pace(1.0)
        self.assertEqual(world.result(User(world).delete(server)).status, 204)
        create = "SELECT ended IS NOT NULL FROM intents WHERE opcode = 'OP_INSTANCE_CREATE'"
        held = "SELECT count(*) FROM pool_items WHERE state = 'held' AND holder LIKE 'port:%'"
        while not self.row(create)[0]:
            self.assertEqual(self.row(held)[0], 1)
            world.wait(1)
        settle(world)
        self.assertEqual((self.state(), self.row(held)[0]), ("DESTROYED", 0))
        self.assertFalse(world.clusters[0].cluster.store.instances)
        self.end()

    def test_remove_waits_longer_than_the_submission_limit(self):
        """A delete that waits for a build of many minutes is carried out after it."""
        world = self.begin(base(), SLOW)
        server = world.result(User(world).create()).json["server"]["id"]
        self.until("SELECT job_status = 'running' FROM servers")
        self.pace(1000.0)
        self.assertEqual(world.result(User(world).delete(server)).status, 204)
        self.until(
            "SELECT ended - created > interval '300 s' FROM intents "
            "WHERE opcode = 'OP_INSTANCE_CREATE'",
            900,
        )
        self.pace(1.0)
        settle(world)
        self.assertEqual(self.state(), "DESTROYED")
        self.end()

    def test_news_before_our_record_of_the_job(self):
        """A job's end that is told before the cluster's reply to its submission counts, once."""
        world = self.begin(base())
        fault = ClusterFault(CallFault.REPLY_DELAYED, seconds=9.0, **CREATION)
        world.clusters[0].faults.add(fault)
        self.assertEqual(world.result(User(world).create()).status, 202)
        world.wait(5)
        intent, job = self.row(
            "SELECT id::text, job_id FROM intents WHERE opcode = 'OP_INSTANCE_CREATE'"
        )
        self.assertIsNone(job)
        app = world.controllers[0].app
        now = self.row("SELECT synnefo_now()")[0]
        news = JobNews(1, "snf-1", "OP_INSTANCE_CREATE", "success", now, job_id=3, intent=intent)
        for _ in range(2):
            world.result(app.ganeti.jobs.apply("server:1", news))
            self.assertEqual(self.state(), "STARTED")
        settle(world)
        world.wait(30)
        job = self.row("SELECT job_id FROM intents WHERE opcode = 'OP_INSTANCE_CREATE'")[0]
        self.assertEqual((job, self.jobs("OP_INSTANCE_CREATE")), (3, 1))
        self.end()

    def test_job_archived_before_we_return(self):
        """A controller that slept seven hours finds its job in the archive by its reason."""
        world = self.begin(server_at_rest("STOPPED"))
        world.start(1, timers=False)
        self.crash_at("reply", "/startup")
        asked = User(world).act(world.facts["server"], start={})
        self.assertEqual(world.result(asked).status, 0)
        world.wait(7 * 3600)
        cluster = world.clusters[0]
        cluster.jobs.archive_old()
        self.assertTrue(all(job.archived for job in cluster.cluster.store.jobs.values()))
        world.start(0)
        settle(world)
        self.assertEqual((self.state(), self.jobs("OP_INSTANCE_STARTUP")), ("STARTED", 1))
        self.end()

    def test_recorded_job_archived_before_we_return(self):
        """The same when the job's number was recorded, and its server was being built."""
        world = self.begin(base(), SLOW)
        world.start(1, timers=False)
        self.assertEqual(world.result(User(world).create()).status, 202)
        self.until("SELECT bool_and(job_id IS NOT NULL) FROM intents")
        world.kill(0)
        world.wait(7 * 3600)
        world.clusters[0].jobs.archive_old()
        world.start(0)
        settle(world)
        self.assertEqual((self.state(), self.jobs("OP_INSTANCE_CREATE")), ("STARTED", 1))
        self.end()

    def test_resize_that_fails_after_charging(self):
        """The old size stays, what was charged for the new one is given back, the user is told."""
        world = self.begin(server_at_rest("STOPPED"))
        fault = ClusterFault(JobFault.FAILS, opcode="OP_INSTANCE_SET_PARAMS")
        world.clusters[0].faults.add(fault)
        total = "SELECT usage_min, usage_max FROM holdings WHERE resource = 'cyclades.total_cpu'"
        wanted = {"flavorRef": world.facts["large"]}
        asked = User(world).act(world.facts["server"], resize=wanted)
        self.assertEqual(world.result(asked).status, 202)
        self.assertEqual(self.row(total), (1, 2))
        settle(world)
        self.assertEqual(self.row(total), (1, 1))
        self.assertEqual(self.row("SELECT flavor FROM servers")[0], world.facts["small"])
        self.assertIn("Resizing failed", self.reasons())
        self.end()

    def test_statistics_while_a_debit_is_open(self):
        """A reading during a build shows the room as before, so the debit stays until a reading
        that began after the build."""
        world = self.begin(base(), SLOW)
        app = world.controllers[0].app
        reserved = "SELECT reserved_mib, reserved_instances FROM backends"
        self.assertEqual(world.result(User(world).create()).status, 202)
        world.result(app.ganeti.backends.refresh(1))
        self.assertEqual(self.row(reserved), (512, 1))
        self.until("SELECT operstate = 'STARTED' FROM servers", 300)
        before = self.row("SELECT mfree_mib - reserved_mib FROM backends")[0]
        world.result(app.ganeti.backends.refresh(1))
        self.assertEqual(self.row(reserved), (0, 0))
        self.assertEqual(self.row("SELECT mfree_mib - reserved_mib FROM backends")[0], before)
        self.end()

    def test_reply_to_the_submission_lost(self):
        """The job is found by its reason among foreign ones; it is never submitted twice."""
        world = self.begin(base())
        world.clusters[0].faults.add(ClusterFault(CallFault.REPLY_LOST, **CREATION))
        self.assertEqual(world.result(User(world).create()).status, 202)
        app = world.controllers[0].app

        async def foreign() -> None:
            rapi = await app.ganeti.backends.rapi(1)
            for number in range(5):
                await rapi.startup(f"foreign{number}", "another tool")

        world.result(foreign())
        settle(world)
        self.assertEqual((self.state(), self.jobs("OP_INSTANCE_CREATE")), ("STARTED", 1))
        self.assertEqual(self.row("SELECT max(attempts) FROM intents")[0], 1)
        self.end()

    def test_submission_accepted_late(self):
        """A request that RAPI takes from its own queue 30 s later is not submitted again."""
        world = self.begin(base())
        late = ClusterFault(CallFault.ACCEPTED_LATE, seconds=30.0, **CREATION)
        world.clusters[0].faults.add(late)
        self.assertEqual(world.result(User(world).create()).status, 202)
        settle(world)
        self.assertEqual((self.state(), self.jobs("OP_INSTANCE_CREATE")), ("STARTED", 1))
        self.end()

    def test_submission_never_accepted(self):
        """A request that was lost on its way is submitted again after two looks, once."""
        world = self.begin(base())
        world.clusters[0].faults.add(ClusterFault(CallFault.REQUEST_LOST, **CREATION))
        self.assertEqual(world.result(User(world).create()).status, 202)
        settle(world)
        self.assertEqual((self.state(), self.jobs("OP_INSTANCE_CREATE")), ("STARTED", 1))
        self.assertEqual(self.row("SELECT max(attempts) FROM intents")[0], 2)
        self.end()

    def test_cluster_that_never_answers(self):
        """The server ends in ERROR with a reason; nothing is charged for it once it is deleted."""
        world = self.begin(base())
        hangs = ClusterFault(CallFault.REQUEST_LOST, times=1000)
        world.clusters[0].faults.add(hangs)
        server = world.result(User(world).create()).json["server"]["id"]
        world.wait(600)
        world.heal()
        settle(world)
        self.assertEqual(self.state(), "ERROR")
        self.assertIn("not submitted", self.reasons())
        self.assertEqual(world.result(User(world).delete(server)).status, 204)
        settle(world)
        self.assertEqual(self.state(), "DESTROYED")
        self.end()

    def test_controller_that_wakes_with_an_old_claim(self):
        """A process that slept between its claim and the submission leaves what another did."""
        world = self.begin(server_at_rest("STARTED"))
        world.start(1)
        claims: list[Gate] = []

        def choose(gate: Gate) -> None:
            if gate.controller == 0 and "SET attempts = attempts + 1" in gate.text:
                claims.append(gate)
            elif gate.controller == 0 and gate.kind == "commit" and claims:
                claims.clear()
                world.pause(0, 400)

        world.choose = choose
        User(world).act(world.facts["server"], shutdown={})
        self.until("SELECT operstate = 'STOPPED' FROM servers", 300)
        self.assertGreater(world.paused_for(0), 60)
        asked = User(world, 1).act(world.facts["server"], start={})
        self.assertEqual(world.result(asked).status, 202)
        world.wait(420)
        self.assertEqual((self.state(), self.jobs("OP_INSTANCE_SHUTDOWN")), ("STARTED", 1))
        self.end()

    def test_old_claim_given_back(self):
        """Who comes late with "nothing was sent" does not undo the claim of another."""
        world = self.begin(base(), timers=False)
        refuses = ClusterFault(CallFault.REQUEST_LOST, times=9)
        world.clusters[0].faults.add(refuses)
        self.assertEqual(world.result(User(world).create()).status, 202)
        world.wait(30)
        app = world.controllers[0].app
        id, attempts = self.row(
            "SELECT id::text, attempts FROM intents WHERE opcode = 'OP_NETWORK_ADD'"
        )

        async def take_over() -> None:
            async with app.database.transaction("first") as tx:
                first = await JobStore(tx).claim(id, attempts, 0.0)
            await deferLater(world.clock, 1.0)
            async with app.database.transaction("second") as tx:
                second = await JobStore(tx).claim(id, attempts + 1, 25.0)
                await JobStore(tx).unclaim(first)
                await JobStore(tx).release_claim(first)
            self.assertEqual(second.attempts, attempts + 2)

        world.result(take_over())
        claimed = self.row(
            "SELECT attempted IS NOT NULL AND claimed_until > synnefo_now() FROM intents "
            "WHERE opcode = 'OP_NETWORK_ADD'"
        )
        self.assertTrue(claimed[0])
        world.controllers[0].start()
        self.end()
