"""News by message: the same final states as by asking, whatever order they come in."""

from __future__ import annotations

import json
import random
import time

from synnefo_tx.compute.servers.store import diagnostics
from synnefo_tx.ganeti.broker.model import Message, Outcome
from synnefo_tx.ganeti.jobs.store import open_intents
from synnefo_tx.ganeti.memory import Fault, JobFault
from synnefo_tx.ganeti.messages import MalformedMessage, parse
from tests.compute.message_support import MessageTestCase
from tests.support.cloud import JOB_SECONDS, CloudHttpTestCase
from tests.support.database import TestServer
from tests.support.news import body, message

MUTATED = 1000
NUMBERS_GONE = "UPDATE intents SET job_id = NULL, job_status = '' WHERE ended IS NULL"


class LifeMixin:
    """The whole life of a machine, by messages alone."""

    async def test_life(self):
        """Every task ends, every state is what the cluster has, and usage is exact."""
        id = await self.built()
        await self.assert_rests()
        actions = self.app.compute.actions
        for act, state in (
            (lambda: actions.shutdown(self.user, id), "STOPPED"),
            (lambda: actions.start(self.user, id), "STARTED"),
            (lambda: actions.reboot(self.user, id, hard=True), "STARTED"),
            (lambda: actions.shutdown(self.user, id), "STOPPED"),
            (lambda: actions.resize(self.user, id, self.flavors[3]), "STOPPED"),
        ):
            await act()
            await self.settle()
            server = await self.server(id)
            self.assertEqual((server.operstate, server.task), (state, ""))
            await self.assert_rests()
        self.assertEqual((await self.server(id)).flavor, self.flavors[3])
        await actions.delete(self.user, id)
        await self.settle()
        self.assertEqual((await self.usage(), self.instances()), ({}, {}))
        await self.assert_rests()

    async def test_failed_build(self):
        """A build that fails is ERROR and says what the cluster said."""
        self.ganeti["alpha"].faults.add(Fault(JobFault.FAILS, opcode="OP_INSTANCE_CREATE"))
        id = await self.create()
        await self.settle()
        self.assertEqual(await self.operstate(id), "ERROR")
        [newest, *_] = await diagnostics(self.database, id)
        self.assertIn("could not be built", newest[2])
        await self.assert_rests()

    async def test_and_the_poller(self):
        """With the poller beside it nothing counts twice."""
        id = await self.create()
        for _ in range(20):
            await self.app.poller.look(self.backends["alpha"])
            await self.tell()
        await self.settle()
        self.assertEqual(await self.operstate(id), "STARTED")
        await self.assert_rests()


class InOrderTests(LifeMixin, MessageTestCase):
    """Every message once, in order, with the intent in it."""


class OriginalSourceTests(LifeMixin, MessageTestCase):
    """Messages as the original's source sends them: jobs are known by their numbers."""

    with_intent = False


class AnyOrderTests(LifeMixin, MessageTestCase):
    """Every message twice, in any order."""

    times = 2
    shuffled = True


class JobTests(MessageTestCase):
    """Which job a message belongs to."""

    async def foreign(self, id, call):
        """What an administrator does on the cluster."""
        rapi = await self.app.ganeti.backends.rapi(self.backends["alpha"])
        await getattr(rapi, call)(f"snf-{id}", "gnt-instance by hand")
        while not all(job.final for job in await self.jobs()):
            await self.pause(JOB_SECONDS)
        await self.tell()

    async def test_number_not_stored(self):
        """A submission whose answer was lost is found by the message: the intent is in it."""
        id = await self.create()
        async with self.database.transaction("test") as tx:
            await tx.run(NUMBERS_GONE)
        await self.settle()
        self.assertEqual(await self.operstate(id), "STARTED")
        await self.assert_rests()

    async def test_foreign_jobs(self):
        """What an administrator starts and stops on the cluster is followed, with its charges."""
        id = await self.built()
        await self.foreign(id, "shutdown")
        self.assertEqual(await self.operstate(id), "STOPPED")
        await self.assert_rests()
        await self.foreign(id, "startup")
        self.assertEqual(await self.operstate(id), "STARTED")
        await self.assert_rests()
        await self.foreign(id, "delete_instance")
        self.assertEqual(await self.operstate(id), "DESTROYED")
        await self.assert_rests()

    async def test_foreign_failure(self):
        """A foreign job that fails changes nothing and tells the owner nothing."""
        id = await self.built()
        await self.publish(
            body(message("alpha", f"snf-{id}", "OP_INSTANCE_SHUTDOWN", "error", 999))
        )
        self.assertEqual(await self.operstate(id), "STARTED")
        self.assertEqual(await diagnostics(self.database, id), [])

    async def test_of_nobody(self):
        """Unknown clusters, instances and types are acknowledged and change nothing."""
        id = await self.built()
        stop = "OP_INSTANCE_SHUTDOWN"
        await self.publish(
            body(message("elsewhere", f"snf-{id}", stop, "success", 999)),
            body(message("alpha", "snf-99999", stop, "success", 999)),
            body(message("alpha", "mail.example.org", stop, "success", 999)),
            body(message("alpha", f"snf-{id}", stop, "success", 999, type="eventd-heartbeat")),
        )
        self.assertEqual(await self.operstate(id), "STARTED")
        await self.assert_rests()

    async def test_stale(self):
        """A message about an older job than the last one moves no state."""
        id = await self.built()
        await self.publish(
            body(message("alpha", f"snf-{id}", "OP_INSTANCE_SHUTDOWN", "success", 1))
        )
        self.assertEqual(await self.operstate(id), "STARTED")

    async def test_intent_of_another(self):
        """A message that names the intent of another instance, opcode or job does not end it."""
        id = await self.create()
        [intent] = [
            each
            for each in await open_intents(self.database, self.backends["alpha"])
            if each.subject == f"server:{id}"
        ]
        for instance, opcode, number in (
            ("snf-99999", intent.opcode, intent.job_id),
            (intent.instance, "OP_INSTANCE_STARTUP", intent.job_id),
            (intent.instance, intent.opcode, intent.job_id + 1000),
        ):
            told = message("alpha", instance, opcode, "error", number, intent=intent.id)
            await self.publish(body(told))
        self.assertIn(
            intent.id, [each.id for each in await open_intents(self.database, intent.backend)]
        )
        await self.settle()
        self.assertEqual(await self.operstate(id), "STARTED")

    async def test_hints(self):
        """What is tied to no intent makes the poller look soon, once for many."""
        id = await self.built()
        job = 500
        for _ in range(20):
            job += 1
            await self.publish(
                body(message("alpha", f"snf-{id}", "OP_INSTANCE_REBOOT", "success", job))
            )
        self.assertEqual(self.app.poller.lags, {})
        self.app.poller.startService()
        self.addCleanup(self.app.poller.stopService)
        before = self.looks()
        for _ in range(20):
            job += 1
            await self.publish(
                body(message("alpha", f"snf-{id}", "OP_INSTANCE_REBOOT", "success", job))
            )
        await self.until(lambda: self.looks() != before)

    def looks(self):
        lag = self.app.poller.lags.get(self.backends["alpha"])
        return None if lag is None else lag.polled

    async def test_cluster_changed(self):
        """A change of the cluster's parameters has its figures read again."""
        await self.until(lambda: self.consumer.session.connected)
        before = (await self.app.ganeti.backends.get(self.backends["alpha"])).stats_at
        told = message("alpha", "", "OP_CLUSTER_SET_PARAMS", "success", 900)
        await self.publish(body({**told, "type": "ganeti-cluster-status"}), kind="cluster")
        for _ in range(200):
            now = (await self.app.ganeti.backends.get(self.backends["alpha"])).stats_at
            if now != before:
                return
            await self.pause(0.02)
        self.fail("the figures are the old ones")


class OutageTests(MessageTestCase):
    """The database or the broker is away."""

    def cut_database(self):
        """No connection lives, and none can be made."""
        server = TestServer.get()
        name = self.url.split("@/")[1].split("?")[0]
        server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
        server.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        return lambda: server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")

    async def test_database(self):
        """While the database is away messages wait; afterwards they are applied, none is dead."""
        id = await self.built()
        restore = self.cut_database()
        self.addCleanup(restore)
        stop = body(message("alpha", f"snf-{id}", "OP_INSTANCE_SHUTDOWN", "success", 900))
        await self.publish(b"no message", stop, stop)
        self.assertGreater(self.consumer.counts[Outcome.LATER], 0)
        self.assertGreater(self.consumer.in_flight, 0)
        restore()
        await self.until(lambda: self.consumer.in_flight == 0)
        self.assertEqual(await self.operstate(id), "STOPPED")
        await self.assert_rests(dead=1)
        # The driver lets refused connections reach the reactor's log.
        self.flushLoggedErrors()

    async def test_broker(self):
        """Messages that wait while no consumer is connected are applied when one is again."""
        id = await self.built()
        topology = self.app.broker.topology
        await self.consumer.stopService()
        link = await self.broker.connect()
        stop = message("alpha", f"snf-{id}", "OP_INSTANCE_SHUTDOWN", "success", 900)
        key = topology.keys[f"{topology.prefix}-events-op"]
        await link.publish(Message(topology.exchange, key, body(stop)))
        self.assertEqual(await self.operstate(id), "STARTED")
        self.consumer.startService()
        await self.until(lambda: self.consumer.session.connected and not self.consumer.in_flight)
        for _ in range(200):
            if await self.operstate(id) == "STOPPED":
                return
            await self.pause(0.01)
        self.fail("the message is not applied")


class OperationTests(MessageTestCase, CloudHttpTestCase):
    """What operators see."""

    async def metric(self, name):
        text = (await self.request("GET", "/metrics", token=None)).body.decode()
        [line] = [each for each in text.splitlines() if each.startswith(name + " ")]
        return float(line.rpartition(" ")[2])

    async def test_metrics(self):
        """Connection, messages in hand, the age of the last, and what became of them."""
        await self.publish(b"no message", body(message("x", "snf-1", "OP_INSTANCE_REBOOT",
                           "success", 1)))  # fmt: skip
        self.assertEqual(await self.metric("synnefo_broker_connected"), 1)
        self.assertEqual(await self.metric("synnefo_broker_in_flight"), 0)
        self.assertLess(await self.metric("synnefo_broker_last_message_seconds"), 30)
        dead = 'synnefo_broker_messages{outcome="dead-lettered"}'
        ignored = 'synnefo_broker_messages{outcome="ignored"}'
        self.assertEqual((await self.metric(dead), await self.metric(ignored)), (1, 1))

    async def test_health(self):
        """The broker is a part of the process's health."""
        answer = await self.request("GET", "/health", token=None)
        self.assertEqual((answer.status, answer.json["parts"]["broker"]["ok"]), (200, True))
        self.broker.stop()
        answer = await self.request("GET", "/health", token=None)
        self.assertEqual((answer.status, answer.json["parts"]["broker"]["ok"]), (503, False))
        await self.consumer.stopService()
        answer = await self.request("GET", "/health", token=None)
        self.assertEqual(answer.json["parts"]["broker"]["ok"], True)


class BuildTests(MessageTestCase):
    """What the image installer tells."""

    def from_image(self, id, **fields):
        stamp = [int(time.time()), fields.pop("microseconds", 0)]
        return body({"event_time": stamp, "instance": f"snf-{id}", "timestamp": 1.0, **fields})

    async def progress(self, id, *percents):
        for percent in percents:
            told = self.from_image(id, type="image-copy-progress", progress=percent)
            await self.publish(told, kind="progress")
        return (await self.server(id)).progress

    async def test_percentage(self):
        """The percentage grows while the server is built, whatever order messages come in, and
        never beyond."""
        id = await self.create()
        self.assertEqual(await self.progress(id, 12.7), 12)
        self.assertEqual(await self.progress(id, 5, -4), 12)
        self.assertEqual(await self.progress(id, 250), 100)
        other = await self.built()
        self.assertEqual(await self.progress(other, 50), 0)

    async def test_reports(self):
        """Reports become diagnostics of their server, once each."""
        id = await self.create()
        report = self.from_image(
            id, type="image-helper", subtype="task-start", task="FixPartitionTable", stderr="log"
        )
        error = self.from_image(id, type="image-error", messages=["no", "space"], microseconds=5)
        before = (await self.server(id)).updated
        await self.publish(report, report, error, kind="progress")
        await self.publish(report, self.from_image(99999, type="image-error"), kind="progress")
        self.assertGreater((await self.server(id)).updated, before)
        rows = await diagnostics(self.database, id)
        self.assertEqual(
            [row[:4] for row in rows],
            [
                ("ERROR", "image-error", "no space", ""),
                ("DEBUG", "image-helper-task-start", "FixPartitionTable", "log"),
            ],
        )


class MutationTests(MessageTestCase):
    """Messages that somebody has tampered with."""

    async def test_mutated(self):
        """A thousand mutated messages stop nothing: what cannot be read is in the dead letters,
        the next good message is applied, and usage is exact."""
        id = await self.built()
        [job] = [each for each in await self.jobs() if each.ops[0]["OP_ID"].endswith("CREATE")]
        good = body(message("alpha", f"snf-{id}", "OP_INSTANCE_CREATE", "success", job.id))
        chance = random.Random(7)
        bodies = [mutated(good, chance) for _ in range(MUTATED)]
        await self.publish(*bodies)
        unreadable = sum(map(is_malformed, bodies))
        self.assertGreater(unreadable, MUTATED // 4)
        await self.assert_rests(dead=unreadable)
        await self.app.compute.actions.shutdown(self.user, id)
        await self.settle()
        self.assertEqual(await self.operstate(id), "STOPPED")
        await self.assert_rests(dead=unreadable)


def mutated(good: bytes, chance: random.Random) -> bytes:
    """A message with some octets changed, doubled, cut or put in, or some field replaced."""
    if chance.random() < 0.3:
        document = json.loads(good)
        key = chance.choice(sorted(document))
        document[key] = chance.choice(
            (
                None,
                True,
                -1,
                2**70,
                1.5,
                "",
                "x" * 2000,
                "\0",
                "\ud800",
                [],
                {},
                [[]],
                good.decode(),
            )
        )
        return body(document)
    octets = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(octets))
        octets[at : at + chance.randint(0, 3)] = chance.randbytes(chance.randint(0, 3))
    return bytes(octets)


def is_malformed(told: bytes) -> bool:
    """Whether a message cannot be read."""
    try:
        parse(told)
    except MalformedMessage:
        return True
    return False
