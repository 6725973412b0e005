"""``twistd -ny bench/console_service.py``: the console alone, as the settings say.

The owner of servers is left out: every ticket is good, and its first digits are the port of the
screen that it leads to.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from twisted.application.service import Application
from twisted.internet import reactor

from bench.console_client import PASSWORD, port_of
from synnefo_tx.console import service
from synnefo_tx.console.model import Refusal, Target
from synnefo_tx.settings import load


class AnyTicket:
    """Lets everybody in."""

    async def open(
        self, ticket: str, remote: str, lost: Callable[[Refusal], None]
    ) -> Target | Refusal:
        return Target(
            session_key=ticket, user_uuid="bench", server_id=1, instance="bench",
            host="127.0.0.1", port=port_of(ticket), password=PASSWORD,
        )  # fmt: skip

    async def verify(self, targets: Sequence[Target]) -> Mapping[str, Refusal]:
        return {}

    async def closed(self, target: Target) -> None:
        return None

    async def explain_loss(self, target: Target) -> Refusal | None:
        return None


application = Application("console")
service.build(
    reactor, load(os.environ), AnyTicket(), os.urandom, datetime.now(UTC)
).setServiceParent(application)
