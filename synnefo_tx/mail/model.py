"""A mail, and who carries it away."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol, get_args

from attrs import field, frozen

State = Literal["waiting", "sent", "failed"]
STATES: tuple[State, ...] = get_args(State)


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
    """A mail in the outbox, without its text."""

    id: int
    created: datetime
    template: str
    recipient: str
    recipient_name: str
    subject: str
    state: State
    attempts: int
    next_attempt: datetime
    error: str
    ended: datetime | None


@frozen
class Claimed:
    """A mail to be carried away now, with its text as it is sealed."""

    mail: Mail
    sealed: bytes = field(repr=False)


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
