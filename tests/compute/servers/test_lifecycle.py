"""The states of a server: pure."""

from __future__ import annotations

from datetime import UTC, datetime

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.compute.servers.lifecycle import (
    TASK_OF_OPCODE,
    TASK_STATES,
    Changes,
    Ignored,
    api_status,
    on_job,
)
from synnefo_tx.compute.servers.model import Server
from synnefo_tx.ganeti.jobs.model import JobNews

THEN = datetime(2026, 1, 1, tzinfo=UTC)
FINAL = ("success", "error", "canceled", "lost", "refused", "expired")
RUNNING = ("queued", "waiting", "running", "canceling")
# The state that each job leads to when nothing else happens.
PATHS = {
    "OP_INSTANCE_STARTUP": ("STOPPED", "STARTED"),
    "OP_INSTANCE_SHUTDOWN": ("STARTED", "STOPPED"),
    "OP_INSTANCE_REBOOT": ("STARTED", "STARTED"),
    "OP_INSTANCE_SET_PARAMS": ("STOPPED", "STOPPED"),
}


def server(**changes) -> Server:
    plain = Server(
        id=1, name="s", userid="u", project="p", backend=1, flavor=1, image="i",
        operstate="BUILD", task="BUILD", task_intent="create", task_flavor=None, job_status="",
        last_job_id=0, progress=0, suspended=False, deleted=False, created=THEN, updated=THEN,
        state_changed=THEN,
    )  # fmt: skip
    return evolve(plain, **changes)


def news(opcode: str, status: str, job_id: int | None = 1, intent: str | None = "create", error=""):
    return JobNews(1, "snf-1", opcode, status, THEN, job_id, intent, error)


def applied(before: Server, changes: Changes | Ignored) -> Server:
    """What the store does with a transition."""
    if isinstance(changes, Ignored):
        return before
    ended = changes.task_ended
    return evolve(
        before,
        operstate=changes.operstate,
        deleted=changes.destroyed,
        flavor=(before.task_flavor or before.flavor) if changes.take_task_flavor else before.flavor,
        task="" if ended else before.task,
        task_intent=None if ended else before.task_intent,
        task_flavor=None if ended else before.task_flavor,
        last_job_id=max(before.last_job_id, changes.job_id or 0),
    )


class OneJobTests(SynchronousTestCase):
    def test_built(self) -> None:
        """A create that succeeds leaves a running server without a task."""
        after = applied(server(), on_job(server(), news("OP_INSTANCE_CREATE", "success")))
        self.assertEqual((after.operstate, after.task), ("STARTED", ""))

    def test_not_built(self) -> None:
        """A create that ends in any other way leaves ERROR and says why."""
        for status in FINAL[1:]:
            changes = on_job(server(), news("OP_INSTANCE_CREATE", status, error="no memory"))
            self.assertEqual((changes.operstate, changes.ports), ("ERROR", "ERROR"))
            self.assertIn("no memory", changes.diagnostic)

    def test_paths(self) -> None:
        """Each job leads where it should, or back to where it began."""
        for opcode, (begin, end) in PATHS.items():
            busy = server(operstate=begin, task=TASK_OF_OPCODE[opcode], task_intent="x")
            done = applied(busy, on_job(busy, news(opcode, "success", intent="x")))
            self.assertEqual((done.operstate, done.task), (end, ""))
            for status in FINAL[1:]:
                failed = applied(busy, on_job(busy, news(opcode, status, intent="x")))
                self.assertEqual((failed.operstate, failed.task), (begin, ""))

    def test_resized(self) -> None:
        """A resize takes over its flavor only when it succeeds."""
        busy = server(operstate="STOPPED", task="RESIZE", task_intent="x", task_flavor=2)
        for status in FINAL:
            after = applied(busy, on_job(busy, news("OP_INSTANCE_SET_PARAMS", status, intent="x")))
            self.assertEqual(
                (after.flavor, after.task_flavor), (2 if status == "success" else 1, None)
            )

    def test_removal_of_nothing(self) -> None:
        """A removal that fails because there is no instance is a removal."""
        busy = server(operstate="ERROR", task="DESTROY", task_intent="x")
        text = "Instance 'snf-1' not known"
        changes = on_job(busy, news("OP_INSTANCE_REMOVE", "error", intent="x", error=text))
        self.assertTrue(changes.destroyed)
        changes = on_job(busy, news("OP_INSTANCE_REMOVE", "error", intent="x", error="node down"))
        self.assertEqual((changes.destroyed, changes.operstate), (False, "ERROR"))

    def test_removal_overtakes_creation(self) -> None:
        """News of a create that come after those of the removal change nothing."""
        gone = server(operstate="DESTROYED", deleted=True, task="", task_intent=None, last_job_id=2)
        for status in FINAL:
            self.assertIsInstance(on_job(gone, news("OP_INSTANCE_CREATE", status)), Ignored)

    def test_older_job(self) -> None:
        """A job with a lower number than the last one applied moves no state."""
        stopped = server(operstate="STOPPED", task="", task_intent=None, last_job_id=9)
        changes = on_job(stopped, news("OP_INSTANCE_STARTUP", "success", job_id=8, intent=None))
        self.assertEqual(applied(stopped, changes).operstate, "STOPPED")

    def test_external_job(self) -> None:
        """What an administrator does on the cluster is followed."""
        idle = server(operstate="STARTED", task="", task_intent=None, last_job_id=3)
        changes = on_job(idle, news("OP_INSTANCE_SHUTDOWN", "success", job_id=4, intent=None))
        self.assertEqual(applied(idle, changes).operstate, "STOPPED")

    def test_statuses(self) -> None:
        """The API's status follows state and task."""
        self.assertEqual(api_status(server()), "BUILD")
        running = server(operstate="STARTED", task="", task_intent=None)
        self.assertEqual(api_status(running), "ACTIVE")
        rebooting = evolve(running, task="REBOOT", task_intent="x", job_status="running")
        self.assertEqual(api_status(rebooting), "REBOOT")
        self.assertEqual(set(TASK_STATES), {"", *TASK_OF_OPCODE.values()})


class AnyOrderTests(SynchronousTestCase):
    @settings(max_examples=300, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(sorted(TASK_OF_OPCODE)),
                st.sampled_from(FINAL + RUNNING),
                st.integers(1, 6),
                st.sampled_from(["create", "x", None]),
            ),
            max_size=12,
        )
    )
    def test_any_news(self, events) -> None:
        """Whatever comes in whatever order, twice or never: the state is defined, a task and its
        intent go together, and a deleted server stays so."""
        state = server()
        for opcode, status, job_id, intent in events:
            before = state
            state = applied(state, on_job(state, news(opcode, status, job_id, intent)))
            self.assertIn(state.operstate, {"BUILD", "STARTED", "STOPPED", "ERROR", "DESTROYED"})
            self.assertEqual(state.task == "", state.task_intent is None)
            self.assertEqual(state.deleted, state.operstate == "DESTROYED")
            self.assertGreaterEqual(state.last_job_id, before.last_job_id)
            if before.deleted:
                self.assertEqual(state, before)

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_last_job_decides(self, data) -> None:
        """Jobs on a built server end in the state of the successful one with the highest number,
        in whatever order and however often they are told."""
        opcodes = data.draw(st.lists(st.sampled_from(sorted(PATHS)), min_size=1, max_size=5))
        statuses = [data.draw(st.sampled_from(("success", "error"))) for _ in opcodes]
        told = [(n, opcodes[n - 1], statuses[n - 1]) for n in range(1, len(opcodes) + 1)]
        order = data.draw(st.permutations(told + told))
        state = server(operstate="STARTED", task="", task_intent=None)
        expected = "STARTED"
        for _, opcode, status in told:
            if opcode != "OP_INSTANCE_SET_PARAMS" and status == "success":
                expected = PATHS[opcode][1]
        for job_id, opcode, status in order:
            state = applied(state, on_job(state, news(opcode, status, job_id, None)))
        self.assertEqual(state.operstate, expected)
