"""A mail, and who carries it away."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol

from attrs import field, frozen

State = Literal["waiting", "sent", "failed"]


@frozen
class Recipient:
    """Whom a mail is for; ``language`` chooses its templates, empty the setting's."""

    address: str
    name: str = ""
    language: str = ""


@frozen
class Content:
    """What a mail says; ``html`` is empty for one that is text alone."""

    subject: str
    text: str = field(repr=False)
    html: str = field(default="", repr=False)


@frozen
class Mail:
    """A mail in the outbox."""

    id: int
    created: datetime
    template: str
    recipient: str
    recipient_name: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    state: State
    attempts: int
    next_attempt: datetime
    error: str
    ended: datetime | None


@frozen
class Counts:
    """What is in the outbox: mails by state, and the age of the oldest that waits."""

    waiting: int
    sent: int
    failed: int
    oldest_seconds: float


class Refused(Exception):
    """A mail that will never be taken: its recipient or the mail itself is refused."""


class NotSent(Exception):
    """A mail that was not taken this time."""


class Carrier(Protocol):
    """Carries mails away."""

    async def carry(self, recipient: str, message: bytes) -> None:
        """Hand over a message (RFC 5322, lines ended by LF) for one recipient.

        Raises NotSent, or Refused if to try again is in vain.
        """
        ...


class NoCarrier:
    """Of a process that sends no mails: they wait for one that does."""

    async def carry(self, recipient: str, message: bytes) -> None:
        """Carry nothing; raises NotSent."""
        raise NotSent("this process sends no mails")
