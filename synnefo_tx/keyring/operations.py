"""Seals and opens secrets with the keys as they are now, in a process that lives long.

Keys are kept in memory as any other knowledge is: for as long as a change would be heard. So a
version that ``secret-rotate`` makes is used by every process within a second, and one that cannot
hear reads the keys each time it seals. A value of a version that is not known makes it read them
again, once.
"""

from __future__ import annotations

import os

from synnefo_tx.db.listener import Deaf, Hearing
from synnefo_tx.db.pool import Transaction
from synnefo_tx.keyring.model import DATABASE, Ring
from synnefo_tx.keyring.sealing import NONCE_BYTES, UnknownKey, opened, sealed_with
from synnefo_tx.keyring.source import KeySource

CHANNEL = "keyring_changed"
TELL = f"NOTIFY {CHANNEL}"


class Keyring:
    """See the head of the module."""

    def __init__(self, source: KeySource) -> None:
        self.source = source
        self._hearing: Hearing = Deaf()
        self._ring: Ring | None = None
        self._changes = 0

    def hear(self, hearing: Hearing) -> None:
        """Remember keys while ``hearing`` would tell of new ones."""
        self._hearing = hearing
        hearing.subscribe(CHANNEL, self._changed)

    def _changed(self, _: str) -> None:
        self._changes += 1
        self._ring = None

    async def load(self) -> Ring:
        """The keys as they are now, read anew; raises KeyringError."""
        changes = self._changes
        ring = await self.source.load()
        if changes == self._changes:
            self._ring = ring
        return ring

    async def seal(self, tx: Transaction, secret: bytes, purpose: str) -> bytes:
        """The secret, encrypted and bound to ``purpose``, to be written in ``tx``.

        Whoever rotates keys waits for the transactions that may have sealed with the old one: it is
        asked for here so that nobody seals outside. Raises KeyringError.
        """
        ring = self._ring if self._hearing.is_hearing else None
        key = (ring or await self.load()).sealing(DATABASE)
        # The one random value that no simulation gives: it must not repeat, ever.
        return sealed_with(key, secret, purpose, os.urandom(NONCE_BYTES))

    async def open(self, sealed: bytes, purpose: str) -> bytes:
        """The secret that ``seal`` was given; raises SealBroken, KeyringError."""
        ring = self._ring or await self.load()
        try:
            return opened(ring, sealed, purpose)
        except UnknownKey:
            return opened(await self.load(), sealed, purpose)

    async def tell(self, tx: Transaction) -> None:
        """Have every process read the keys anew once ``tx`` holds."""
        await tx.run(TELL)
