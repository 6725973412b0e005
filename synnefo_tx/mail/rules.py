"""Pure decisions about mails: when one is tried again, and how its message is written."""

from __future__ import annotations

from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from synnefo_tx.mail.model import Content, Mail

# Lines are ended by whoever carries the message away. Seven bits pass everywhere.
POLICY = SMTP.clone(linesep="\n", cte_type="7bit")
FIRST_PAUSE_SECONDS = 30.0
PAUSE_MAX_SECONDS = 3 * 3600.0
LINE_MAX = 200


def pause_seconds(attempts: int, chance: float) -> float:
    """How long to wait after so many attempts failed: twice as long each time, up to three hours;
    ``chance`` (0 to 1) takes up to half away, so that many do not come back at once."""
    doubled = FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 20)
    return min(doubled, PAUSE_MAX_SECONDS) * (1 - chance / 2)


def one_line(text: str) -> str:
    """A text that fits into a header: without line breaks and other control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LINE_MAX]


def is_address(text: str) -> bool:
    """Whether a mail can be sent there: ASCII, one @, no space."""
    local, at, domain = text.rpartition("@")
    return (
        bool(local and at and domain)
        and text.isascii()
        and text.isprintable()
        and (not set(text) & set(' <>()[]\\,;:"'))
    )


def message_of(mail: Mail, content: Content, sender_name: str, sender_address: str) -> bytes:
    """The message of a mail (RFC 5322). Its id is made of the outbox's, so that one which is
    delivered twice can be known. Raises ValueError for an address that is none."""
    if not is_address(mail.recipient):
        raise ValueError("the recipient has no address that mails are sent to")
    domain = sender_address.rpartition("@")[2]
    message = EmailMessage(policy=POLICY)
    message["Message-ID"] = f"<{mail.id}.{_stamp(mail.created)}@{domain}>"
    message["Date"] = format_datetime(mail.created)
    message["From"] = Address(one_line(sender_name), addr_spec=sender_address)
    message["To"] = _recipient(mail)
    message["Subject"] = one_line(content.subject)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(content.text)
    if content.html:
        message.add_alternative(content.html, subtype="html")
    return message.as_bytes()


def _recipient(mail: Mail) -> Address:
    try:
        return Address(one_line(mail.recipient_name), addr_spec=mail.recipient)
    except MessageError as error:
        raise ValueError(f"the recipient's address cannot be read: {error}") from None


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%d%H%M%S%f}"
