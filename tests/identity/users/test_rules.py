"""States of users, and what e-mails and names may be."""

from __future__ import annotations

from datetime import UTC, datetime

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.faults import BadRequest, Conflict
from synnefo_tx.identity.users import rules
from synnefo_tx.identity.users.model import User

THEN = datetime(2026, 1, 1, tzinfo=UTC)
NEW = User(
    id=1, uuid="u", email="a@b.org", username="a@b.org", first_name="A", last_name="B",
    is_active=False, is_admin=False, groups=(), email_verified=False, moderated=False,
    is_rejected=False, rejected_reason="", deactivated_reason="", default_project="u",
    date_joined=THEN, updated=THEN, last_login=None, token_expires=None,
)  # fmt: skip
CHANGES = ("verify", "accept", "reject", "activate", "deactivate")


class StateTests(SynchronousTestCase):
    def allowed(self, user: User) -> list[str]:
        found = []
        for change in CHANGES:
            try:
                rules.changed(user, change)
            except Conflict:
                continue
            found.append(change)
        return found

    def test_path(self) -> None:
        """From sign-up to active, to inactive and back; each state allows what it should."""
        self.assertEqual(self.allowed(NEW), ["verify"])
        verified = rules.changed(NEW, "verify")
        self.assertEqual(self.allowed(verified), ["accept", "reject"])
        rejected = rules.changed(verified, "reject", "spammer")
        self.assertEqual(self.allowed(rejected), ["accept"])
        self.assertEqual(rules.status(rejected), "Rejected (spammer)")
        active = rules.changed(rejected, "accept")
        self.assertEqual(rules.status(active), "Accepted/Active")
        self.assertEqual(self.allowed(active), ["deactivate"])
        inactive = rules.changed(active, "deactivate", "left")
        self.assertEqual(rules.status(inactive), "Accepted/Inactive (left)")
        self.assertEqual(self.allowed(inactive), ["activate", "deactivate"])
        self.assertEqual(rules.changed(inactive, "activate"), active)

    @given(st.lists(st.sampled_from(CHANGES), max_size=8))
    def test_active_is_accepted(self, changes) -> None:
        """No order of changes makes a user active who was not verified and accepted."""
        user = NEW
        for change in changes:
            try:
                user = rules.changed(user, change)
            except Conflict:
                continue
        self.assertTrue(rules.is_accepted(user) or not user.is_active)
        self.assertEqual(rules.changed(evolve(user, email_verified=False), "verify").is_active,
                         user.is_active)  # fmt: skip


class NameTests(SynchronousTestCase):
    def test_emails(self) -> None:
        """Addresses that people have are taken, what could break a header is not."""
        for email in ("a@b.org", "O'Neil+x@sub.example.org".replace("'", "-"), "δ@example.gr"):
            rules.check_email(email)
        for email in ("", "a", "a@", "@b.org", "a b@c.org", "a@b..org", "a@-b.org", "a@b.org\n",
                      "a\r\nBcc: x@b.org", "a@b.org,c@d.org", "x" * 65 + "@b.org",
                      "a@" + "b." * 200 + "org"):  # fmt: skip
            with self.assertRaises(BadRequest, msg=email):
                rules.check_email(email)

    def test_names(self) -> None:
        """Names may hold anything that is seen."""
        rules.check_name("Ζωή <script>", "first name")
        for name in ("a\x1b[31m", "a\nb", "x" * 256):
            with self.assertRaises(BadRequest):
                rules.check_name(name, "first name")
