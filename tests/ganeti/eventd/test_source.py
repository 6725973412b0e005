"""From changed job files to confirmed messages: real files, real inotify."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater

from tests.ganeti.eventd.samples import job
from tests.ganeti.eventd.support import LIMIT_SECONDS, SourceTestCase
from tests.support.processes import until

OLD_SECONDS = 7200


class NewsTests(SourceTestCase):
    async def test_changes(self):
        """Every change of a job is told while it happens, with the instance's details."""
        self.source()
        expected = []
        for status in ("queued", "waiting", "running", "success"):
            content = job(7, status, at=self.now, opcode="OP_INSTANCE_STARTUP")
            self.node.write(7, content)
            expected.append((7, status))
            await self.seen(*expected)
        self.assertEqual(self.details.asked, ["snf-1"])
        self.assertEqual(self.broker.confirmed[-1]["instance_nics"], [{"name": "snf-1-nic"}])
        self.assertNotIn("instance_nics", self.broker.confirmed[0])
        self.assertEqual(self.broker.confirmed[0]["intent"], "intent-7")

    async def test_written_in_place(self):
        """A job file that is written without renaming is seen when it is closed."""
        self.source()
        await self.seen()
        with (self.node.queue / "job-3").open("wb") as stream:
            stream.write(job(3, at=self.now))
        await self.seen((3, "success"))

    async def test_other_files(self):
        """Other files in the queue, and broken job files, disturb nothing."""
        self.node.write(1, b"\xff garbage")
        (self.node.queue / "job-2").mkdir()
        (self.node.queue / "serial").write_text("7\n")
        self.source(job_file_max_bytes=100_000)
        self.node.write(3, b"[" * 200_000)
        self.node.write(4, job(5, at=self.now))
        self.node.write(6, job(6, at=self.now))
        await self.seen((6, "success"))

    async def test_nobody_wants(self):
        """Messages that no queue takes hold up no others, and are not tried again at once."""
        self.broker.unwanted = {"ganeti.web.event.op"}
        self.source()
        for number in (1, 2, 3):
            self.node.write(number, job(number, at=self.now, instance="web-1"))
        self.node.write(4, job(4, at=self.now))
        await self.seen((4, "success"))
        self.assertEqual(self.broker.asked.count("ganeti.web.event.op"), 1)

    async def test_slow_refusal(self):
        """While the broker looks whether anybody wants a message by now, others are told."""
        self.broker.unwanted = {"ganeti.web.event.op"}
        self.source(unwanted_seconds=0.0)
        self.node.write(1, job(1, at=self.now, instance="web-1"))
        await self.waiting(1)
        self.broker.hang = {"ganeti.web.event.op"}
        self.node.write(2, job(2, at=self.now, instance="web-1"))
        self.node.write(3, job(3, at=self.now, instance="web-1"))
        self.node.write(4, job(4, at=self.now))
        await self.seen((4, "success"))
        self.assertEqual(self.broker.asked.count("ganeti.web.event.op"), 2)

    async def test_wanted_later(self):
        """Once a queue takes the messages, they are told as others."""
        self.broker.unwanted = {"ganeti.web.event.op"}
        self.source(unwanted_seconds=0.0)
        self.node.write(1, job(1, at=self.now, instance="web-1"))
        await self.waiting(1)
        self.broker.unwanted.clear()
        self.node.write(2, job(2, at=self.now, instance="web-1"))
        await self.seen((2, "success"))
        self.node.write(3, job(3, at=self.now, instance="web-1"))
        await self.seen((2, "success"), (3, "success"))

    async def test_broken_connection(self):
        """A message that was not confirmed is published again."""
        self.broker.failures = 2
        self.source(retry_seconds=0.05)
        self.node.write(1, job(1, at=self.now))
        await self.seen((1, "success"))

    async def test_archived_before_read(self):
        """A job that was archived meanwhile is read from the archive."""
        self.broker.away = True
        self.source()
        self.node.write(10_001, job(10_001, at=self.now))
        await self.waiting(1)
        self.node.write(10_002, job(10_002, at=self.now))
        self.node.write(10_003, job(10_003, at=self.now))
        await deferLater(reactor, 0.1)
        self.node.archive(10_002)
        (self.node.queue / "job-10003").unlink()
        self.broker.come_back()
        await self.seen((10_001, "success"), (10_002, "success"))

    async def waiting(self, count):
        """Wait until so many messages were given to the broker."""

        async def asked():
            return len(self.broker.asked) >= count

        await until(asked, LIMIT_SECONDS, f"{count} messages under way")


class BrokerAwayTests(SourceTestCase):
    async def test_coalesced(self):
        """While the broker is away jobs change; then each is told as it is by now."""
        self.broker.away = True
        self.source(pending_max=8)
        for status in ("queued", "waiting", "running", "success"):
            for number in range(1, 31):
                self.node.write(number, job(number, status, at=self.now))
            await deferLater(reactor, 0.05)
        self.assertLess(len(self.broker.asked), 2)
        self.broker.come_back()

        async def all_ended():
            ended = {number for number, status in self.broker.told() if status == "success"}
            return ended == set(range(1, 31))

        await until(all_ended, LIMIT_SECONDS, "all jobs told")
        self.assertLess(len(self.broker.confirmed), 34)

    async def test_stop(self):
        """Stopping waits so long for a confirm, not longer, and what was not confirmed is told
        by the next start."""
        self.broker.away = True
        source = self.source()
        self.node.write(1, job(1, at=self.now))

        async def asked():
            return self.broker.asked

        await until(asked, LIMIT_SECONDS, "a message under way")
        before = reactor.seconds()
        await source.stopService()
        self.assertLess(reactor.seconds() - before, 5)
        self.broker.away = False
        self.source()
        await self.seen((1, "success"))

    async def test_stop_waits(self):
        """A confirm that comes while it stops is remembered."""
        self.broker.away = True
        source = self.source(stop_limit_seconds=10.0)
        self.node.write(1, job(1, at=self.now))

        async def asked():
            return self.broker.asked

        await until(asked, LIMIT_SECONDS, "a message under way")
        reactor.callLater(0.1, self.broker.come_back)
        await source.stopService()
        self.assertIn("1", json.loads(self.state_file.read_bytes())["jobs"])


class RestartTests(SourceTestCase):
    async def test_first_start(self):
        """The first start tells open jobs and recent ones, not the history."""
        for number in range(1, 40):
            self.node.write(number, job(number, at=self.now - OLD_SECONDS))
        self.node.write(40, job(40, "running", at=self.now - OLD_SECONDS))
        self.node.write(41, job(41, "error", at=self.now - 60))
        self.source()
        await self.seen((40, "running"), (41, "error"))

    async def test_restart(self):
        """A restart tells what changed meanwhile, and nothing twice."""
        self.node.write(1, job(1, "running", at=self.now))
        self.node.write(2, job(2, at=self.now))
        source = self.source()
        await self.seen((1, "running"), (2, "success"))
        await source.stopService()
        self.node.write(1, job(1, "success", at=self.now))
        self.node.write(3, job(3, "queued", at=self.now))
        self.broker.confirmed.clear()
        self.source()
        await self.seen((1, "success"), (3, "queued"))

    async def test_long_ago(self):
        """What happened while it was down is told however long ago it was."""
        self.node.write(1, job(1, at=self.now))
        source = self.source(history_seconds=1.0)
        await self.seen((1, "success"))
        await source.stopService()
        state = json.loads(self.state_file.read_bytes())
        state["since"] = self.now - 10 * OLD_SECONDS
        self.state_file.write_text(json.dumps(state))
        self.node.write(2, job(2, at=self.now - OLD_SECONDS))
        self.broker.confirmed.clear()
        self.source(history_seconds=1.0)
        await self.seen((2, "success"))

    async def test_damaged_state(self):
        """A damaged state file counts as none."""
        self.state_file.parent.mkdir()
        self.state_file.write_bytes(b'{"version": 1')
        self.node.write(1, job(1, at=self.now - OLD_SECONDS))
        self.node.write(2, job(2, at=self.now))
        self.source()
        await self.seen((2, "success"))

    async def test_forgets(self):
        """Jobs that left the queue are forgotten, also those that left while it was down."""
        for number in (1, 2, 3):
            self.node.write(number, job(number, at=self.now))
        source = self.source()
        await self.seen(*((number, "success") for number in (1, 2, 3)))
        self.node.archive(1)
        await self.kept({"2", "3"})
        await source.stopService()
        self.node.archive(2)
        self.source()
        await self.kept({"3"})

    async def kept(self, jobs):
        """Wait until the state file knows just these."""

        async def same():
            return set(json.loads(self.state_file.read_bytes())["jobs"]) == jobs

        await until(same, LIMIT_SECONDS, f"state of {jobs}")


class RoleTests(SourceTestCase):
    async def test_failover(self):
        """A candidate tells nothing; when it becomes master it tells what it may have missed, and
        not the whole history."""
        self.node.set_master("node2.ganeti.example")
        self.source()
        self.node.write(1, job(1, at=self.now - OLD_SECONDS))
        self.node.write(2, job(2, at=self.now))
        self.node.write(3, job(3, "running", at=self.now))
        await deferLater(reactor, 0.3)
        self.assertEqual(self.broker.asked, [])
        self.node.set_master(self.node.settings().node_name)
        await self.seen((2, "success"), (3, "running"))
        self.node.set_master("node2.ganeti.example")
        self.node.write(4, job(4, at=self.now))
        await deferLater(reactor, 0.3)
        self.assertEqual(len(self.broker.confirmed), 2)

    async def test_no_cluster_yet(self):
        """It may start before the node belongs to a cluster."""
        (self.node.path / "ssconf_master_node").unlink()
        shutil.rmtree(self.node.queue)
        self.source()
        await deferLater(reactor, 0.2)
        (self.node.queue / "archive").mkdir(parents=True)
        self.node.write(1, job(1, at=self.now))
        self.node.set_master(self.node.settings().node_name)
        await self.seen((1, "success"))


class WatchTests(SourceTestCase):
    async def test_folder_replaced(self):
        """A queue folder that was moved away or removed is watched anew."""
        self.source()
        self.node.write(1, job(1, at=self.now))
        await self.seen((1, "success"))
        os.rename(self.node.queue, self.node.path / "old")
        (self.node.queue / "archive").mkdir(parents=True)
        self.node.write(2, job(2, at=self.now))
        await self.seen((1, "success"), (2, "success"))
        shutil.rmtree(self.node.queue)
        await deferLater(reactor, 0.2)
        (self.node.queue / "archive").mkdir(parents=True)
        self.node.write(3, job(3, at=self.now))
        await self.seen(*((number, "success") for number in (1, 2, 3)))

    async def test_overflow(self):
        """When the kernel drops events the queue is looked through."""
        self.source()
        self.node.write(1, job(1, at=self.now))
        await self.seen((1, "success"))
        self.flood()
        self.node.write(2, job(2, at=self.now))
        await self.seen((1, "success"), (2, "success"))

    def flood(self):
        """Cause more events at once than the kernel keeps."""
        limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
        names = [str(self.node.queue / f"x{each}") for each in range(2)]
        for turn in range(limit + 10):
            os.close(os.open(names[turn % 2], os.O_WRONLY | os.O_CREAT))
