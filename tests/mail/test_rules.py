"""When mails are tried again, and what their messages are made of."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.mail import rules
from synnefo_tx.mail.model import Content, Mail

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
MAIL = Mail(
    7, NOW, "welcome", "ann@example.org", "Ann", "Hello", "waiting", 1, NOW, "", None
)  # fmt: skip
CONTENT = Content("Hello", "Text\n")

HEADERS = sorted(
    (
        "Message-ID", "Date", "From", "To", "Subject", "Auto-Submitted", "Content-Type",
        "Content-Transfer-Encoding", "MIME-Version",
    )
)  # fmt: skip


def parsed(mail: Mail, content: Content = CONTENT):
    message = rules.message_of(mail, content, "Cloud", "noreply@cloud.example")
    return message_from_bytes(message, policy=default)


class PauseTests(SynchronousTestCase):
    def test_doubled(self) -> None:
        """The pause doubles up to three hours, and chance takes up to half of it."""
        self.assertEqual([rules.pause_seconds(n, 0) for n in (1, 2, 3)], [30, 60, 120])
        self.assertEqual(rules.pause_seconds(30, 0), 3 * 3600)
        self.assertEqual(rules.pause_seconds(2, 1), 30)

    @given(st.integers(1, 10_000), st.floats(0, 1))
    def test_bounds(self, attempts: int, chance: float) -> None:
        """It is never below 15 seconds, nor above three hours."""
        self.assertTrue(15 <= rules.pause_seconds(attempts, chance) <= 3 * 3600)


class MessageTests(SynchronousTestCase):
    def test_address(self) -> None:
        """A mail to what is no address is refused in one way, whatever is wrong with it: it cannot
        keep others from going out."""
        for text in (".a@x.org", "@@x", "a@.org", "a@x..org", "a@x.org.", "a@b@c", "a b@c", "é@x"):
            with self.assertRaises(ValueError, msg=text):
                parsed(evolve(MAIL, recipient=text))

    @given(st.text("ab@.-=?*'é_ ", max_size=8))
    def test_any_address(self, text: str) -> None:
        """Whatever stands for an address: a message, or ValueError."""
        try:
            message = parsed(evolve(MAIL, recipient=text))
        except ValueError:
            return
        self.assertEqual(len(message["To"].addresses), 1)

    def test_message(self) -> None:
        """A message has an id made of the outbox's, a date, sender, recipient, subject, text."""
        message = parsed(MAIL)
        self.assertEqual(message["Message-ID"], "<7.20261121093000000000@cloud.example>")
        self.assertEqual(message["From"], "Cloud <noreply@cloud.example>")
        self.assertEqual(message["To"], "Ann <ann@example.org>")
        self.assertEqual((message["Subject"], message.get_content()), ("Hello", "Text\n"))
        self.assertEqual(message["Date"].datetime, NOW)
        self.assertEqual(message["Auto-Submitted"], "auto-generated")

    def test_html(self) -> None:
        """With HTML both are there, the text first."""
        message = parsed(MAIL, evolve(CONTENT, html="<p>Text</p>"))
        self.assertEqual(message.get_content_type(), "multipart/alternative")
        kinds = [part.get_content_type() for part in message.iter_parts()]
        self.assertEqual(kinds, ["text/plain", "text/html"])

    def test_other_scripts(self) -> None:
        """Any language passes through seven bits."""
        content = rules.message_of(
            MAIL, Content("Καλημέρα", "Γειά σου\n.\n"), "Νέφος", "noreply@cloud.example"
        )
        self.assertTrue(content.isascii())
        message = message_from_bytes(content, policy=default)
        self.assertEqual(message["Subject"], "Καλημέρα")
        self.assertEqual(message.get_content(), "Γειά σου\n.\n")

    @given(st.text(max_size=80), st.text(max_size=80))
    def test_no_forged_header(self, name: str, subject: str) -> None:
        """Whatever a name or subject holds, no header is added: not by CR LF, or other breaks."""
        for forged in ("", "\r\nBcc: evil@example.org", "\nX: y", "\u2028Bcc: z", "\x00\x85"):
            message = parsed(
                evolve(MAIL, recipient_name=name + forged),
                evolve(CONTENT, subject=subject + forged),
            )
            self.assertEqual(
                sorted(message.keys()),
                HEADERS,
            )
            self.assertEqual([each.addr_spec for each in message["To"].addresses], [MAIL.recipient])

    def test_addresses(self) -> None:
        """What is no plain address gets no mail: no list, no header, no other script."""
        for text in ("a@b.org, c@d.org", "a@b.org\r\nBcc: x@y.org", "ann", "@b.org", "a@", "α@b.gr",
                     "<a@b.org>", "a b@c.org", ""):  # fmt: skip
            with self.assertRaises(ValueError, msg=text):
                parsed(evolve(MAIL, recipient=text))
