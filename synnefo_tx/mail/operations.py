"""Mails: queued in the transaction that has a reason, delivered by an elected timer.

A mail is delivered at least once: one whose carrier took it and whose settling was lost goes again,
with the same Message-ID. A mail that is refused for good, or that no attempt brought away, is given
up; an operator sees it and may have it tried again.

What a mail says may let its reader in, so it is sealed while the mail may go out, and forgotten as
soon as it went. To whom, about what and when is kept for operators.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.logger import Logger
from twisted.python.failure import Failure

from synnefo_tx.db.pool import Database, Transaction
from synnefo_tx.faults import ItemNotFound
from synnefo_tx.journal.record import record
from synnefo_tx.keyring.model import KeyringError
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.rotation import SealedColumn
from synnefo_tx.keyring.sealing import SealBroken
from synnefo_tx.mail.model import (
    Carrier,
    Claimed,
    Content,
    Counts,
    Mail,
    NotSent,
    Recipient,
    Refused,
    State,
)
from synnefo_tx.mail.rules import message_of, pause_seconds
from synnefo_tx.mail.store import OutboxStore, counts, list_mails
from synnefo_tx.mail.templates import Templates
from synnefo_tx.settings import MailSettings

PURPOSE = "mail"
SEALED = SealedColumn("mail_outbox", ("id",), "sealed", lambda id: PURPOSE)
AT_ONCE = 4
ROUNDS_MAX = 50
LEASE_SECONDS = 600.0
ERROR_MAX = 500
SWEEP_MAX = 1000
LIST_MAX = 10_000


class Mails:
    """The outbox."""

    log = Logger()

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        settings: MailSettings,
        templates: Templates,
        carrier: Carrier,
        entropy: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._settings = settings
        self._templates = templates
        self._carrier = carrier
        self._entropy = entropy

    async def queue(
        self, tx: Transaction, to: Recipient, template: str, values: Mapping[str, Any]
    ) -> int:
        """Write a mail that goes out if ``tx`` holds; its id."""
        language = to.language or self._settings.language
        content = self._templates.content(template, language, values)
        texts = json.dumps({"text": content.text, "html": content.html}).encode()
        sealed = await self._keyring.seal(tx, texts, PURPOSE)
        return await OutboxStore(tx).insert(template, to, content.subject, sealed)

    async def deliver(self) -> int:
        """Carry away what is due; how many were taken."""
        taken = 0
        for _ in range(ROUNDS_MAX):
            async with self._database.transaction("mail-claim") as tx:
                mails = await OutboxStore(tx).claim(AT_ONCE, LEASE_SECONDS)
            if not mails:
                break
            works = [Deferred.fromCoroutine(self._send(each)) for each in mails]
            # Each comes to its end, whatever happens to another.
            for _, outcome in await DeferredList(works, consumeErrors=True):
                if isinstance(outcome, Failure):
                    outcome.raiseException()
                taken += outcome
        return taken

    async def _message(self, claimed: Claimed) -> bytes:
        """The message of a mail; raises ValueError, SealBroken, KeyringError."""
        mail, own = claimed.mail, self._settings
        texts = json.loads(await self._keyring.open(claimed.sealed, PURPOSE))
        content = Content(mail.subject, texts["text"], texts["html"])
        return message_of(mail, content, own.service_name, own.sender_address)

    async def _send(self, claimed: Claimed) -> bool:
        mail = claimed.mail
        try:
            message = await self._message(claimed)
            await self._carrier.carry(mail.recipient, message)
        except (Refused, ValueError) as error:
            await self._end(mail, "failed", str(error))
        except (NotSent, SealBroken, KeyringError) as error:
            await self._put_off(mail, str(error))
        except CancelledError:
            raise
        except Exception as error:
            # It counts as an attempt, or such a mail would be tried for ever.
            self.log.failure("mail {id} cannot be handed over", id=mail.id)
            await self._put_off(mail, f"unexpected: {type(error).__name__}")
        else:
            await self._end(mail, "sent", "")
            return True
        return False

    async def _put_off(self, mail: Mail, error: str) -> None:
        if mail.attempts >= self._settings.attempts_max:
            await self._end(mail, "failed", error)
            return
        chance = self._entropy(1)[0] / 255
        pause = pause_seconds(mail.attempts, chance)
        async with self._database.transaction("mail-put-off") as tx:
            await OutboxStore(tx).put_off(mail, pause, error[:ERROR_MAX])
        self.log.info("mail {id} goes again in {seconds} s", id=mail.id, seconds=round(pause))

    async def _end(self, mail: Mail, state: State, error: str) -> None:
        async with self._database.transaction("mail-end") as tx:
            await OutboxStore(tx).end(mail, state, error[:ERROR_MAX])
        if state == "failed":
            self.log.error("mail {id} is given up: {error}", id=mail.id, error=error[:ERROR_MAX])

    async def listing(self, state: State | None = None, limit: int = LIST_MAX) -> Sequence[Mail]:
        """The newest mails, of one state if that is said, the newest first."""
        return await list_mails(self._database, state, limit)

    async def counts(self) -> Counts:
        """What is in the outbox."""
        return await counts(self._database)

    async def retry(self, id: int) -> None:
        """Try a mail again that was given up; raises ItemNotFound."""
        async with self._database.transaction("mail-retry") as tx:
            if await OutboxStore(tx).again(id) is None:
                raise ItemNotFound(f"There is no mail {id} that was given up and can be sent")
            await record(tx, "mail:mail:retry", "mail", id)

    async def sweep(self, tx: Transaction) -> int:
        """Delete mails that ended long ago; how many."""
        return await OutboxStore(tx).sweep(self._settings.kept_days, SWEEP_MAX)
