"""``twistd synnefo-eventd`` on a real cluster's queue and sockets, with a real broker."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from synnefo_tx.ganeti import requests
from synnefo_tx.ganeti.broker.address import parse_all
from synnefo_tx.ganeti.broker.client import AmqpBroker, read_trust
from synnefo_tx.ganeti.broker.topology import Topology, declare, prefix_of
from synnefo_tx.ganeti.requests import NicSpec
from tests.acceptance import rabbitmq
from tests.acceptance.ganeti import test_real_cluster
from tests.support.processes import BIN, Twistd, until

reactor = test_real_cluster.reactor
MESSAGE_LIMIT_SECONDS = 60.0
FINAL = ("success", "error", "canceled")


class EventdCase(test_real_cluster.OnRealCluster):
    """The event source beside the cluster, and a consumer of its exchange."""

    def setUp(self):
        super().setUp()
        self.node = rabbitmq.RealBroker.of_environment()
        if self.node is None:
            raise SkipTest("no broker: run it by python -m tests.acceptance.run ganeti")
        self.topology = Topology(f"test-{self.prefix}", prefix_of(self.prefix))
        self.told, self.link_ = [], None
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir(parents=True)
        state = Path(self.cluster.state)
        access = f"{self.node.user}:{self.node.password}@localhost:{self.node.tls_port}"
        self.url = f"amqps://{access}"
        self.eventd = Twistd(
            {
                "SYNNEFO_HOME": str(self.home),
                "SYNNEFO_BROKER__URLS": self.url,
                "SYNNEFO_BROKER__CA_FILE": self.node.ca_file,
                "SYNNEFO_BROKER__EXCHANGE": self.topology.exchange,
                "SYNNEFO_COMPUTE__BACKEND_PREFIX_ID": self.prefix,
                "SYNNEFO_EVENTD__QUEUE_FOLDER": str(state / "lib" / "queue"),
                "SYNNEFO_EVENTD__SSCONF_FOLDER": str(state / "lib"),
                "SYNNEFO_EVENTD__SOCKET_FOLDER": str(state / "run" / "socket"),
                # Not what other cases did: nobody has queues for their prefixes any more.
                "SYNNEFO_EVENTD__HISTORY_SECONDS": "1",
                "SYNNEFO_EVENTD__NODE_NAME": f"node1.{self.cluster.name}.example",
            },
            "synnefo-eventd",
        )

    async def leave(self):
        await self.eventd.end()
        if self.link_ is not None:
            await self.link_.close()
        await super().leave()

    async def start(self):
        """Start the event source, after what it publishes has queues to go to."""
        if self.link_ is None:
            await self.connect()
        self.eventd.start()
        await self.eventd.wait_output(b"this node is master")

    async def connect(self):
        """Connect the consumer."""
        trust = read_trust(self.node.ca_file, "", "")
        broker = AmqpBroker(reactor, parse_all([self.url]), trust, os.urandom)
        self.link_ = await broker.connect()
        await declare(self.link_, self.topology)

    async def ended(self, job_id, queue="op"):
        """The message with the final status of a job."""

        async def there():
            await self.take(f"{self.topology.prefix}-events-{queue}")
            return [each for each in self.of(job_id) if each["status"] in FINAL]

        return (await until(there, MESSAGE_LIMIT_SECONDS, f"message on job {job_id}"))[0]

    async def take(self, queue):
        """Take what waits in a queue."""
        while (delivery := await self.link_.get(queue)) is not None:
            self.told.append(json.loads(delivery.body))
            self.link_.acknowledge(delivery.tag)

    def of(self, job_id):
        """All that was told of a job."""
        return [each for each in self.told if each["jobId"] == job_id]

    async def act(self, submission, intent, status="success"):
        """Submit, wait for the job's message, and check what each message has."""
        job_id = await submission
        message = await self.ended(job_id)
        self.assertEqual((message["status"], message["intent"]), (status, intent))
        self.assertEqual(message["cluster"], f"{self.cluster.name}.example")
        job = await self.rapi.job(job_id)
        seconds, micros = message["event_time"]
        self.assertLess(abs(seconds + micros / 1e6 - job.ended_at), 0.1)
        return message


def reason():
    """The reason of a new intent, and its id."""
    intent = str(uuid.uuid4())
    return f"synnefo:{intent}", intent


class LifeTests(EventdCase):
    async def test_life(self):
        """Create, stop, start, change and remove are told with job, intent, NICs and disks."""
        await self.start()
        network, name = await self.network(), self.name("vm")
        why, intent = reason()
        spec = self.spec(nics=[NicSpec(self.name("nic"), network, "10.91.0.5")])
        body = requests.create_body(spec)
        message = await self.act(self.rapi.create_instance(body, why), intent)
        self.assertEqual((message["operation"], message["instance"]), ("OP_INSTANCE_CREATE", name))
        known = await self.rapi.instance(name)
        expected = {
            "name": self.name("nic"), "network": network, "ip": "10.91.0.5",
            "mac": known["nic.macs"][0], "mode": "bridged", "link": self.link,
            "uuid": known["nic.uuids"][0],
        }  # fmt: skip
        self.assertEqual(message["instance_nics"], [expected])
        disk = {"name": f"{name}-root", "size": 64, "uuid": known["disk.uuids"][0]}
        self.assertEqual(message["instance_disks"], [disk])
        self.assertEqual(message["job_fields"]["nics"][0]["ip"], "10.91.0.5")
        steps = [
            ("SHUTDOWN", lambda why: self.rapi.shutdown(name, why, timeout_seconds=0)),
            ("STARTUP", lambda why: self.rapi.startup(name, why)),
            ("REBOOT", lambda why: self.rapi.reboot(name, why, kind="hard")),
            ("REMOVE", lambda why: self.rapi.delete_instance(name, why)),
        ]
        for operation, submit in steps:
            why, intent = reason()
            message = await self.act(submit(why), intent)
            self.assertEqual(message["operation"], f"OP_INSTANCE_{operation}")
            self.assertEqual("instance_nics" in message, operation == "STARTUP")
        self.instances.clear()
        statuses = {each["status"] for each in self.told}
        self.assertLessEqual({"queued", "waiting", "running", "success"}, statuses)

    async def test_failure(self):
        """A failed creation is told with Ganeti's reason."""
        await self.start()
        why, intent = reason()
        body = requests.create_body(self.spec(osparams={"os_fail": "no such image"}))
        message = await self.act(self.rapi.create_instance(body, why), intent, "error")
        self.assertIn("create was told to fail: no such image", message["error"])
        self.assertEqual(message["job_fields"]["OP_ID"], "OP_INSTANCE_CREATE")

    async def test_canceled(self):
        """A job that is canceled while it waits for its turn is told as canceled."""
        await self.start()
        body = requests.create_body(self.spec(osparams={"os_sleep": "3"}))
        creation = await self.rapi.create_instance(body, reason()[0])
        why, intent = reason()
        name, depends = self.name("other"), [(creation, ["success"])]
        waiting = await self.rapi.delete_instance(name, why, depends=depends)
        await self.until(creation, lambda job: "adding disks" in str(job.oplog))
        self.assertTrue((await self.rapi.cancel_job(waiting))[0])
        message = await self.ended(waiting)
        self.assertEqual((message["status"], message["intent"]), ("canceled", intent))
        await self.settle(creation)


class NetworkTests(EventdCase):
    async def test_network(self):
        """Making and connecting a network is told on the networks' queue."""
        await self.start()
        name = await self.network()
        queue = f"{self.topology.prefix}-events-network"

        async def connected():
            await self.take(queue)
            return [
                each
                for each in self.told
                if (each["operation"], each["status"]) == ("OP_NETWORK_CONNECT", "success")
            ]

        (message,) = await until(connected, MESSAGE_LIMIT_SECONDS, "the connection's message")
        self.assertEqual((message["type"], message["network"]), ("ganeti-network-status", name))
        added = [each for each in self.told if each["operation"] == "OP_NETWORK_ADD"]
        self.assertEqual(added[-1]["job_fields"]["subnet"], "10.91.0.0/28")

    async def test_heartbeat(self):
        """A status check's tag is answered with a sign of life."""
        await self.connect()
        queue = f"{self.topology.prefix}-heartbeat"
        await self.link_.declare_queue(queue, {"x-queue-type": "quorum"})
        await self.link_.bind(queue, self.topology.exchange, "eventd.heartbeat")
        await self.start()
        status, _ = await self.raw("PUT", "/2/tags?dry-run=1&tag=snf:eventd:heartbeat:1")
        self.assertEqual(status, 200)

        async def alive():
            await self.take(queue)
            return self.told

        (message,) = await until(alive, MESSAGE_LIMIT_SECONDS, "a sign of life")
        self.assertEqual((message["type"], message["status"]), ("eventd-heartbeat", "waiting"))


class RestartTests(EventdCase):
    async def test_killed(self):
        """What happens while the event source is gone is told when it is back, and only that."""
        await self.start()
        name = self.name("vm")
        why, intent = reason()
        body = requests.create_body(self.spec())
        await self.act(self.rapi.create_instance(body, why), intent)
        await self.saved()
        await self.eventd.end("KILL")
        count = len(self.told)
        why, intent = reason()
        job_id = await self.rapi.shutdown(name, why, timeout_seconds=0)
        await self.settle(job_id)
        await self.start()
        message = await self.ended(job_id)
        self.assertEqual((message["status"], message["intent"]), ("success", intent))
        self.assertEqual({each["jobId"] for each in self.told[count:]}, {job_id})

    async def saved(self):
        """Wait until the state file is newer than the last message."""

        async def quiet():
            state = json.loads((self.home / "eventd.json").read_bytes())
            last = max(each["jobId"] for each in self.told)
            return state["jobs"].get(str(last), [0, None])[1] is not None

        await until(quiet, MESSAGE_LIMIT_SECONDS, "the state file")

    async def test_broker_away(self):
        """What happens while the broker is away is told when it is back."""
        await self.start()
        name = self.name("vm")
        why, intent = reason()
        await self.act(self.rapi.create_instance(requests.create_body(self.spec()), why), intent)
        await self.link_.close()
        await deferToThread(rabbitmq.stop)
        why, intent = reason()
        job_id = await self.rapi.shutdown(name, why, timeout_seconds=0)
        await self.settle(job_id)
        await deferToThread(rabbitmq.start)
        await self.connect()
        message = await self.ended(job_id)
        self.assertEqual((message["status"], message["intent"]), ("success", intent))


class ProgressTests(EventdCase):
    async def test_progress(self):
        """What an installer writes reaches the progress queue, and the program says so."""
        await self.connect()
        name = self.name("vm")
        content = b'{"type": "image-copy-progress", "progress": 50.5}{"type": "image-info"}\n'
        out, err, code = await getProcessOutputAndValue(
            str(BIN / "snf-progress-monitor"),
            [name],
            env={**os.environ, **self.eventd.environ},
            reactor=reactor,
            stdinBytes=content,
        )
        self.assertEqual((out, err, code), (b"", b"", 0))
        await self.take(f"{self.topology.prefix}-events-progress")
        self.assertEqual(
            [each["type"] for each in self.told], ["image-copy-progress", "image-info"]
        )
        self.assertEqual({each["instance"] for each in self.told}, {name})
