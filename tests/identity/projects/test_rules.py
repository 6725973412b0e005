"""What a project may be and the states it goes through."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.faults import BadRequest, Conflict
from synnefo_tx.identity.projects import rules
from synnefo_tx.identity.projects.model import LimitChange, Project, ProjectChanges
from synnefo_tx.identity.projects.rules import Control
from synnefo_tx.identity.quota.model import INFINITE

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = Project(
    uuid="u", id=1, owner="o", owner_email="o@example.org", realname="lab.example.org",
    homepage="", description="", is_system=False, private=False, state="active",
    join_policy="auto", leave_policy="auto", max_members=INFINITE, created=NOW,
    end_date=NOW + timedelta(days=1), members=0,
)  # fmt: skip
LABEL = st.text(alphabet="abcXYZ019", min_size=1, max_size=20)


class ChangeTests(SynchronousTestCase):
    @given(st.lists(LABEL, min_size=1, max_size=3), st.sampled_from(["org", "eu", "museum"]))
    def test_names(self, labels: list[str], last: str) -> None:
        """Names are those of hosts."""
        rules.check_changes(ProjectChanges(name=".".join([*labels, last])), NOW)

    def test_wrong(self) -> None:
        """Names, texts, dates, counts and limits that no project may have are refused."""
        for changes in (
            *(
                ProjectChanges(name=name)
                for name in ("", "lab", "a b.org", "-a.org", "a-.org", "a.o", "a.orgorgo", "a..org",
                             "a.org\n", f"{'a' * 64}.org", "é.org", f"{'a.' * 40}org")
            ),
            ProjectChanges(homepage="x" * 256),
            ProjectChanges(description="x" * 4097),
            ProjectChanges(description="\x00"),
            ProjectChanges(end_date=NOW),
            ProjectChanges(max_members=-1),
            ProjectChanges(join_policy="maybe"),
            ProjectChanges(limits=(LimitChange("r", 2, 1),)),
            ProjectChanges(limits=(LimitChange("r", 0, INFINITE + 1),)),
        ):  # fmt: skip
            with self.assertRaises(BadRequest):
                rules.check_changes(changes, NOW)

    def test_system(self) -> None:
        """A system project keeps what names it; its limits change as others' do."""
        system = evolve(PROJECT, is_system=True)
        rules.check_modifiable(system, ProjectChanges(limits=(LimitChange("r", 1, 1),)))
        for changes in (ProjectChanges(name="a.org"), ProjectChanges(description="")):
            rules.check_modifiable(PROJECT, changes)
            with self.assertRaises(Conflict):
                rules.check_modifiable(system, changes)
        for state in ("deleted", "uninitialized"):
            with self.assertRaises(Conflict):
                rules.check_modifiable(evolve(PROJECT, state=state), ProjectChanges())


class ControlTests(SynchronousTestCase):
    def test_states(self) -> None:
        """Every state takes those controls that lead on from it, and no others."""
        allowed: dict[tuple[str, Control], str] = {
            ("active", "suspend"): "suspended",
            ("suspended", "unsuspend"): "active",
            ("active", "terminate"): "terminated",
            ("suspended", "terminate"): "terminated",
            ("terminated", "reinstate"): "active",
        }
        controls: tuple[Control, ...] = ("suspend", "unsuspend", "terminate", "reinstate")
        for state in ("uninitialized", "active", "suspended", "terminated", "deleted"):
            for control in controls:
                project = evolve(PROJECT, state=state)
                if (state, control) in allowed:
                    after = rules.state_after(project, control)
                    self.assertEqual(after, allowed[state, control])
                else:
                    with self.assertRaises(Conflict):
                        rules.state_after(project, control)
        with self.assertRaises(Conflict):
            rules.state_after(evolve(PROJECT, is_system=True), "terminate")

    def test_expired(self) -> None:
        """A project is past its end only while it goes on."""
        past = evolve(PROJECT, end_date=NOW - timedelta(seconds=1))
        for state, expected in (("active", True), ("suspended", True), ("terminated", False)):
            self.assertEqual(rules.is_expired(evolve(past, state=state), NOW), expected)
        self.assertFalse(rules.is_expired(PROJECT, NOW))
