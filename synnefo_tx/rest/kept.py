"""Replies kept for requests that are repeated with the same Idempotency-Key.

A key counts per user and path. Its row is written first of all in the transaction of the effect, so
that PostgreSQL makes a second request wait for the first, in whichever process it is: if the first
held, the second gets its reply; if it was rolled back, the second acts. Within a process repeats
wait their turn before they take a connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from attrs import field, frozen
from twisted.internet.defer import DeferredLock, TimeoutError
from twisted.internet.interfaces import IReactorTime

from synnefo_tx.db.pool import Database, Hot, Transaction
from synnefo_tx.faults import BadRequest, ServiceUnavailable, UnprocessableEntity
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.rotation import SealedColumn
from synnefo_tx.rest import codec

R = TypeVar("R")

PURPOSE = "idempotent-reply"
REPLAYED_HEADER = "Idempotency-Replayed"
KEY_MAX = 255
TURN_LIMIT_SECONDS = 10.0

SEALED = SealedColumn(
    "idempotent_replies", ("userid", "path", "request_key"), "sealed", lambda *key: PURPOSE
)
CLAIM = Hot("""
INSERT INTO idempotent_replies AS r (userid, path, request_key, body_sha256, created)
VALUES (%(user)s, %(path)s, %(key)s, %(body)s, synnefo_now())
ON CONFLICT (userid, path, request_key) DO UPDATE
 SET body_sha256 = excluded.body_sha256, status = NULL, sealed = NULL, created = excluded.created
 WHERE r.created <= synnefo_now() - make_interval(secs => %(life)s::float8)
RETURNING 1
""")
FIND = """
SELECT body_sha256, status, sealed FROM idempotent_replies
WHERE userid = %(user)s AND path = %(path)s AND request_key = %(key)s
"""
KEEP = Hot("""
UPDATE idempotent_replies SET status = %(status)s, sealed = %(sealed)s
WHERE userid = %(user)s AND path = %(path)s AND request_key = %(key)s
""")
SWEEP = """
DELETE FROM idempotent_replies
WHERE created <= synnefo_now() - make_interval(secs => %(life)s::float8)
"""


@frozen
class KeptReply:
    """A reply as it was given first; an empty body is none."""

    status: int
    body: bytes = field(repr=False)


class Replay(Exception):
    """The request was answered before, with ``reply``."""

    def __init__(self, reply: KeptReply) -> None:
        super().__init__("replayed")
        self.reply = reply


@frozen
class RequestKey:
    """What makes two requests the same."""

    user: str
    path: str
    key: str


def check_key(values: list[str]) -> str:
    """The value of an Idempotency-Key header; raises BadRequest."""
    key = values[0]
    if len(values) > 1 or not 1 <= len(key) <= KEY_MAX or not (key.isascii() and key.isprintable()):
        raise BadRequest(
            f"Idempotency-Key must be given once, with 1 to {KEY_MAX} printable ASCII characters"
        )
    return key


class KeptReplies:
    """Replies by request, for ``life_seconds``."""

    def __init__(
        self, database: Database, keyring: Keyring, clock: IReactorTime, life_seconds: float
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock
        self._life_seconds = life_seconds
        self._turns: dict[RequestKey, DeferredLock] = {}

    @asynccontextmanager
    async def turn(self, wanted: RequestKey) -> AsyncIterator[None]:
        """Wait until no other request of this process has this key in hand.

        Raises ServiceUnavailable when that takes too long.
        """
        lock = self._turns.setdefault(wanted, DeferredLock())
        try:
            await lock.acquire().addTimeout(TURN_LIMIT_SECONDS, self._clock)
        except TimeoutError:
            raise ServiceUnavailable("The first request with this key takes too long") from None
        try:
            yield
        finally:
            lock.release()
            if not lock.locked:
                self._turns.pop(wanted, None)

    async def claim(self, tx: Transaction, wanted: RequestKey, body_sha256: bytes) -> None:
        """Take the key, or raise Replay or UnprocessableEntity; waits for who has it."""
        values = {**_named(wanted), "body": body_sha256, "life": self._life_seconds}
        if await tx.run(CLAIM, values):
            return
        (first,) = await tx.rows(FIND, _named(wanted))
        if bytes(first[0]) != body_sha256:
            raise UnprocessableEntity("The Idempotency-Key was used with another body")
        raise Replay(KeptReply(first[1], await self._keyring.open(bytes(first[2]), PURPOSE)))

    async def keep(self, tx: Transaction, wanted: RequestKey, reply: KeptReply) -> None:
        """Keep the reply of who has the key."""
        sealed = await self._keyring.seal(tx, reply.body, PURPOSE)
        await tx.run(KEEP, {**_named(wanted), "status": reply.status, "sealed": sealed})

    async def sweep(self) -> None:
        """Forget what is past its time."""
        async with self._database.transaction("replies-sweep") as tx:
            await tx.run(SWEEP, {"life": self._life_seconds})


@frozen
class Claim:
    """One request with a key, as its endpoint's call has it; ``status`` is the endpoint's own."""

    kept: KeptReplies
    wanted: RequestKey
    body_sha256: bytes
    status: int

    def once(self, reply_of: Callable[[R], Any]) -> Keeping[R]:
        """What the operation is given; ``reply_of`` makes of its result what the route returns."""
        return Keeping(self, reply_of)


@frozen
class Keeping(Generic[R]):
    """A ``Once`` whose reply is kept."""

    request: Claim
    reply_of: Callable[[R], Any]

    async def claim(self, tx: Transaction) -> None:
        """See ``Once``."""
        await self.request.kept.claim(tx, self.request.wanted, self.request.body_sha256)

    async def keep(self, tx: Transaction, result: R) -> None:
        """See ``Once``."""
        document = self.reply_of(result)
        body = document if isinstance(document, bytes) else codec.encode(document)
        reply = KeptReply(self.request.status, body)
        await self.request.kept.keep(tx, self.request.wanted, reply)


def _named(wanted: RequestKey) -> dict[str, str]:
    return {"user": wanted.user, "path": wanted.path, "key": wanted.key}
