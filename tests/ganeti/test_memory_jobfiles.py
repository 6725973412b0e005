"""The files of a master, written by the cluster in memory, read by the source of events."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.eventd.jobfile import announcements, read_job
from synnefo_tx.ganeti.memory.jobfiles import JobFiles
from synnefo_tx.ganeti.memory.model import Job, Op

NAME, NODE = "memory.example", "node1.memory.example"
REASON = [["gnt:user", "synnefo:an-intent", 1], ["gnt:opcode:x", "job=7;index=0", 2]]


class JobFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.files = JobFiles(self.folder, NAME, NODE)

    def job(self, status: str, **changes) -> Job:
        given = {"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": "snf-3", "reason": REASON}
        result = ["OpExecError", ["it broke"]] if status == "error" else None
        op = Op(given, "shutdown", status=status, result=result)
        times = {"received": 1000.25, "started": 1001.0, "ended": 1002.5} | changes
        return Job(7, (op,), **times)

    def test_read(self) -> None:
        """The source of events reads in a file what the job is."""
        self.files.write(self.job("error"))
        content = (self.files.queue / "job-7").read_bytes()
        [told] = announcements(read_job(content), NAME)
        found = told.content
        self.assertEqual(
            [found[key] for key in ("jobId", "instance", "status", "intent", "event_time")],
            [7, "snf-3", "error", "an-intent", [1002, 500000]],
        )
        self.assertIn("it broke", found["error"])

    def test_archived(self) -> None:
        """An archived job is found in the archive, and no more in the queue."""
        self.files.write(self.job("success"))
        self.files.write(self.job("success", archived=True))
        self.assertFalse((self.files.queue / "job-7").exists())
        content = (self.files.queue / "archive" / "0" / "job-7").read_bytes()
        self.assertEqual(read_job(content).id, 7)

    def test_master(self) -> None:
        """The folder says whose cluster it is and who is master."""
        self.assertEqual((self.folder / "ssconf_cluster_name").read_text(), f"{NAME}\n")
        self.assertEqual((self.folder / "ssconf_master_node").read_text(), f"{NODE}\n")
