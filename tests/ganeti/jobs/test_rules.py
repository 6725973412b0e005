"""What a sweep decides about intents without a job, and what a job says: pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.ganeti.jobs import rules
from synnefo_tx.ganeti.jobs.model import Intent, reason_of
from synnefo_tx.ganeti.model import JobView

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SUBMIT = timedelta(seconds=300)
ANSWER = timedelta(seconds=10)
GAP = timedelta(seconds=60)
seconds = st.integers(0, 1000).map(lambda n: timedelta(seconds=n))


def intent(**changes) -> Intent:
    plain = Intent(
        id="i", backend=1, subject="server:1", instance="snf-1", opcode="OP_INSTANCE_STARTUP",
        call="startup", arguments={}, after=[], request_id="", created=NOW,
        deadline=NOW + timedelta(hours=6), last_job_id=0, attempts=0, attempted=None,
        absent_since=None, job_id=None, job_status="", outcome=None, ended=None, error="",
    )  # fmt: skip
    return evolve(plain, **changes)


class StepTests(SynchronousTestCase):
    def step(self, intent: Intent, later: int) -> str:
        return rules.next_step(intent, NOW + timedelta(seconds=later), SUBMIT, ANSWER)

    def test_never_tried(self) -> None:
        """What was never sent is sent, until its time is over."""
        self.assertEqual((self.step(intent(), 0), self.step(intent(), 299)), ("submit", "submit"))
        self.assertEqual(self.step(intent(), 300), "expire")

    def test_tried(self) -> None:
        """What was sent is looked for, not before RAPI would have answered, and never sent
        again without a look, however late it is."""
        tried = intent(attempts=1, attempted=NOW)
        self.assertEqual((self.step(tried, 9), self.step(tried, 10)), ("wait", "look"))
        self.assertEqual(self.step(tried, 10_000), "look")

    def test_looks(self) -> None:
        """Absence counts after two looks a minute apart; then it is sent again or is lost."""
        tried = intent(attempts=1, attempted=NOW)

        def after(since: int | None, later: int) -> str:
            absent = None if since is None else NOW + timedelta(seconds=since)
            seen = evolve(tried, absent_since=absent)
            return rules.after_look(seen, NOW + timedelta(seconds=later), SUBMIT, GAP)

        self.assertEqual(after(None, 20), "first absent")
        self.assertEqual((after(20, 79), after(20, 80)), ("wait", "submit"))
        self.assertEqual(after(20, 300), "lost")

    @given(seconds, seconds, seconds)
    def test_never_sent_blindly(self, attempted, absent, later) -> None:
        """Nothing that was sent is sent again within a minute of the first look that missed it."""
        tried = intent(attempts=1, attempted=NOW, absent_since=NOW + absent)
        if rules.after_look(tried, NOW + later, SUBMIT, GAP) in ("submit", "lost"):
            self.assertGreaterEqual(later - absent, GAP)


class JobTests(SynchronousTestCase):
    def test_found_by_reason(self) -> None:
        """The job is found by its reason among foreign ones."""
        jobs = [
            JobView(1, "running", reasons=("somebody",)),
            JobView(2, "queued", reasons=("x", reason_of("i"))),
        ]
        self.assertEqual(rules.find_job(intent(), jobs).id, 2)
        self.assertIsNone(rules.find_job(intent(id="other"), jobs))

    def test_news(self) -> None:
        """News carry status, time, last log entry, and the failed opcode's text."""
        job = JobView(
            7,
            "error",
            opresult=(["OpPrereqError", ["no memory", "insufficient_resources"]],),
            oplog=(((1, (1, 0), "message", "first"), (2, (2, 0), "message", "last")),),
            received_at=100.0,
            ended_at=200.0,
        )
        news = rules.news_of(intent(), job, NOW)
        self.assertEqual((news.status, news.error, news.log), ("error", "no memory", "last"))
        self.assertEqual((news.job_id, news.event_time.timestamp()), (7, 200.0))
        self.assertTrue(news.final)

    def test_no_trace(self) -> None:
        """A job that the cluster does not know is lost."""
        self.assertEqual(rules.news_of(intent(), JobView(7, None), NOW).status, "lost")

    def test_expired(self) -> None:
        """A job beyond its deadline is expired unless it has ended."""
        late = NOW + timedelta(hours=7)
        self.assertEqual(rules.news_of(intent(), JobView(7, "running"), late).status, "expired")
        self.assertEqual(rules.news_of(intent(), JobView(7, "success"), late).status, "success")

    def test_death_without_result(self) -> None:
        """A job that died without a result still says something."""
        job = JobView(7, "error", opresult=(None,))
        self.assertEqual(rules.error_text(job), "the job failed without a reason")
        self.assertEqual(rules.error_text(JobView(7, "canceled")), "the job was canceled")
