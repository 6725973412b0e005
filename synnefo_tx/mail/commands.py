"""Commands about mails."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from synnefo_tx.cli.command import Command, Options, each_of, number
from synnefo_tx.cli.context import Context
from synnefo_tx.cli.listing import Field, ListCommand, itself
from synnefo_tx.cli.output import Output
from synnefo_tx.mail.model import STATES, Mail


class MailList(ListCommand):
    """List mails that wait, were sent or given up; the newest first."""

    name = "mail-list"
    stored = {"": (Mail, itself)}
    fields = {
        "id": Field(lambda mail: mail.id, "number of the mail"),
        "created": Field(lambda mail: mail.created, "when it was written"),
        "template": Field(lambda mail: mail.template, "what it is about"),
        "recipient": Field(lambda mail: mail.recipient, "address that it goes to"),
        "subject": Field(lambda mail: mail.subject, "its subject"),
        "state": Field(lambda mail: mail.state, "waiting, sent or failed"),
        "attempts": Field(lambda mail: mail.attempts, "how often it was tried"),
        "next_attempt": Field(lambda mail: mail.next_attempt, "when it is tried again"),
        "ended": Field(lambda mail: mail.ended, "when it was sent or given up"),
        "error": Field(lambda mail: mail.error, "why the last attempt failed"),
    }
    default_fields = ("id", "created", "recipient", "subject", "state", "attempts", "error")

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare options."""
        super().arguments(parser)
        parser.add_argument("--state", choices=STATES, help="only what waits, was sent or failed")

    async def rows(self, app: Context, options: Options) -> Sequence[Mail]:
        """The newest mails."""
        return await app.mails.listing(options.state)


class MailRetry(Command):
    """Try mails again that were given up."""

    name = "mail-retry"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare arguments."""
        parser.add_argument("mails", metavar="ID", nargs="+")

    async def run(self, app: Context, options: Options, out: Output) -> None:
        """Let each wait anew; say which could not."""

        async def retry(text: str) -> None:
            await app.mails.retry(number(text, "", "mail"))

        await each_of(options.mails, out, retry)
