"""What is in the outbox of mails, as metrics of the whole service."""

from __future__ import annotations

from synnefo_tx.mail.operations import Mails
from synnefo_tx.rest.metrics import Metrics


class MailGauges:
    """Mails by state, and the age of the oldest that waits."""

    def __init__(self, metrics: Metrics, mails: Mails) -> None:
        self._mails = mails
        self._count = metrics.reading("synnefo_mails", "Mails in the outbox", ("state",))
        self._oldest = metrics.reading(
            "synnefo_oldest_mail_seconds", "Age of the oldest mail that waits"
        )

    def clear(self) -> None:
        """Forget them."""
        self._count.clear()
        self._oldest.clear()

    async def read(self) -> None:
        """Read them anew."""
        counts = await self._mails.counts()
        self._count.set(counts.waiting, "waiting")
        self._count.set(counts.sent, "sent")
        self._count.set(counts.failed, "failed")
        self._oldest.set(counts.oldest_seconds)
