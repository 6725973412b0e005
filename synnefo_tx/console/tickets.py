"""One-time console tickets.

A ticket names a user, a server and the guest that ran for it; it works once, and not after its
time. Only its hash is kept, and the password sealed: neither can be read from the database.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

from attrs import field, frozen

from synnefo_tx.console.model import Refusal, bad_ticket
from synnefo_tx.console.store import StoredTicket, TicketStore
from synnefo_tx.db.pool import Transaction
from synnefo_tx.faults import TooManyRequests
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.rotation import SealedColumn

TICKET_BYTES = 32
PASSWORD_BYTES = 6  # 8 characters in base64url, all that VNC authentication takes into account
PURPOSE = "console password"


@frozen
class IssuedTicket:
    """What the user is given: the last part of the URL, and the password of the screen."""

    ticket: str = field(repr=False)
    password: str = field(repr=False)


@frozen
class UsedTicket:
    """What a ticket stood for. ``session_key`` names the session that may begin now."""

    session_key: str
    user_uuid: str
    server_id: int
    instance: str
    password: str = field(repr=False)
    token_id: int = 0
    session_id: int = 0


class Tickets:
    """Issues and redeems tickets.

    ``random_bytes(n)`` gives n unguessable bytes; a ticket lives ``life_seconds`` and a user holds
    at most ``unused_max`` at a time.
    """

    def __init__(
        self,
        keyring: Keyring,
        random_bytes: Callable[[int], bytes],
        life_seconds: float = 30.0,
        unused_max: int = 16,
    ) -> None:
        self._keyring = keyring
        self._random_bytes = random_bytes
        self._life_seconds = life_seconds
        self._unused_max = unused_max

    async def issue(
        self,
        tx: Transaction,
        user_uuid: str,
        server_id: int,
        instance: str,
        token_id: int = 0,
        session_id: int = 0,
    ) -> IssuedTicket:
        """A new ticket; ``instance`` is compared when it is used.

        The console ends with the API token ``token_id`` or the browser's sign-in ``session_id``; 0
        is for one that neither asked for.

        Raises TooManyRequests when the user holds too many that are unused.
        """
        store = TicketStore(tx)
        if await store.lock_user(user_uuid) >= self._unused_max:
            raise TooManyRequests(
                "too many console tickets are unused",
                headers={"Retry-After": f"{self._life_seconds:.0f}"},
            )
        ticket = base64.urlsafe_b64encode(self._random_bytes(TICKET_BYTES)).decode().rstrip("=")
        password = base64.urlsafe_b64encode(self._random_bytes(PASSWORD_BYTES)).decode()
        ticket_hash = hash_of(ticket)
        sealed = await self._keyring.seal(tx, password.encode(), purpose_of(ticket_hash))
        stored = StoredTicket(
            ticket_hash, user_uuid, token_id, session_id, server_id, instance, sealed
        )
        await store.insert_ticket(stored, self._life_seconds)
        return IssuedTicket(ticket, password)

    async def redeem(self, tx: Transaction, ticket: str) -> UsedTicket | Refusal:
        """Use the ticket up; a Refusal when it is unknown, used or old.

        Commit before the session begins, and before anything slow is asked: the ticket is used
        once this transaction holds, whatever becomes of the session.
        """
        stored = await TicketStore(tx).find_and_use(hash_of(ticket))
        if stored is None:
            return bad_ticket()
        password = await self._keyring.open(stored.password_sealed, purpose_of(stored.ticket_hash))
        return UsedTicket(
            session_key=stored.ticket_hash.hex()[:32],
            user_uuid=stored.user_uuid,
            server_id=stored.server_id,
            instance=stored.instance,
            password=password.decode(),
            token_id=stored.token_id,
            session_id=stored.session_id,
        )

    async def sweep(self, tx: Transaction) -> int:
        """Forget some expired tickets; how many those were."""
        return await TicketStore(tx).delete_old()


def hash_of(ticket: str) -> bytes:
    """SHA-256 of a ticket; its 256 random bits need no salt."""
    return hashlib.sha256(ticket.encode()).digest()


def purpose_of(ticket_hash: bytes) -> str:
    """What a ticket's password is sealed for: no other ticket has it."""
    return f"{PURPOSE} {ticket_hash.hex()}"


SEALED = SealedColumn("console_tickets", ("ticket_hash",), "password_sealed", purpose_of)
