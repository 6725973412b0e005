"""What is remembered of told jobs, and which jobs wait."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.eventd.jobfile import announcements, read_job
from synnefo_tx.ganeti.eventd.pending import Pending
from synnefo_tx.ganeti.eventd.progress import BadState, Progress, decode
from tests.ganeti.eventd.samples import CLUSTER, job

AT = 1_700_000_000


def tell(progress, content):
    """Confirm what is new; the marks of it."""
    filed = read_job(content)
    news = progress.news(filed, announcements(filed, CLUSTER))
    for each in news:
        progress.confirmed(filed, each)
    return [each.mark for each in news]


class ProgressTests(SynchronousTestCase):
    def test_once(self):
        """A status is told once, also over a restart; the next one again."""
        progress = Progress(AT)
        self.assertEqual(tell(progress, job(1, "queued", at=AT)), ["queued"])
        self.assertEqual(tell(progress, job(1, "queued", at=AT)), [])
        progress = decode(progress.encode())
        self.assertEqual(tell(progress, job(1, "queued", at=AT)), [])
        self.assertEqual(tell(progress, job(1, "success", at=AT, ops=2)), ["success"] * 2)
        self.assertEqual(tell(decode(progress.encode()), job(1, "success", at=AT, ops=2)), [])

    def test_history(self):
        """At the first start old jobs are not told, those that still run and recent ones are."""
        progress = Progress(AT + 3)
        self.assertEqual(tell(progress, job(1, "success", at=AT)), [])
        self.assertEqual(tell(progress, job(2, "success", at=AT + 1)), ["success"])
        self.assertEqual(tell(progress, job(3, "running", at=AT - 9999)), ["running"])
        self.assertEqual(tell(progress, job(3, "error", at=AT - 9999)), ["error"])

    def test_other_cluster(self):
        """A cluster made anew counts its jobs from 1: they are other jobs."""
        progress = Progress(AT)
        tell(progress, job(1, "success", at=AT))
        self.assertEqual(tell(progress, job(1, "success", at=AT + 500)), ["success"])

    @given(st.lists(st.tuples(st.integers(1, 60), st.booleans()), min_size=1), st.integers(4, 20))
    def test_trim(self, jobs, jobs_max):
        """However many jobs there were, few are remembered, and none of them is told twice."""
        progress, last = Progress(AT), {}
        for number, (offset, ended) in enumerate(jobs, 1):
            last[number] = job(number, "success" if ended else "running", at=AT + offset)
            tell(progress, last[number])
        running = sum(not ended for _, ended in jobs)
        progress.trim(jobs_max)
        self.assertLessEqual(len(progress.jobs), max(jobs_max, running))
        for content in last.values():
            self.assertEqual(tell(progress, content), [])

    @given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
    def test_bad_state(self, content):
        """A damaged state file is refused by name."""
        self.assertRaises(BadState, decode, content)

    def test_bad_entries(self):
        """So is one with entries that are none."""
        for entry in (b'{"1": [1]}', b'{"x": [1, 2, {}]}', b'{"1": [1, null, {"0": 3}]}'):
            content = b'{"version": 1, "since": 3, "jobs": ' + entry + b"}"
            self.assertRaises(BadState, decode, content)


class PendingTests(SynchronousTestCase):
    def test_order(self):
        """Jobs are read in the order of their changes, each once."""
        pending = Pending(10)
        for number in (3, 1, 3, 2):
            pending.add(number)
        self.assertEqual([pending.next() for _ in range(4)], [3, 1, 2, None])

    @given(st.sets(st.integers(1, 200)), st.integers(2, 20))
    def test_bounded(self, changed, jobs_max):
        """Of more changes than may be remembered none is lost: the queue is looked through."""
        pending, read = Pending(jobs_max), set()
        for number in changed:
            pending.add(number)
            self.assertLessEqual(len(pending), jobs_max)
        batch = max(jobs_max // 2, 1)
        while len(pending) or pending.scan_after is not None:
            number = pending.next()
            if number is not None:
                read.add(number)
                continue
            after = pending.take_scan()
            pending.found(sorted(each for each in changed if each > after)[:batch], batch)
        self.assertEqual(read, changed)

    def test_dropped_during_a_look(self):
        """Changes that were dropped while the queue was looked through start the look anew."""
        pending = Pending(4)
        pending.look_through()
        self.assertEqual(pending.take_scan(), 0)
        pending.look_through()
        pending.found([7, 8], 2)
        self.assertEqual(pending.scan_after, 0)
