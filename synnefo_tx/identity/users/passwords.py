"""Passwords: what is accepted as one, how they are hashed, where the hashing runs.

Argon2id with RFC 9106's second recommended parameters (64 MiB, three passes). A hash takes a good
part of a tenth of a second of a processor, so it runs in the few threads of that purpose.
"""

from __future__ import annotations

import base64
from pathlib import Path

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY
from attrs import frozen

from synnefo_tx.faults import BadRequest, RequestEntityTooLarge
from synnefo_tx.identity.secret import Entropy
from synnefo_tx.threads import Threads

PASSWORD_MIN_CHARACTERS = 8
PASSWORD_MAX_BYTES = 1024
# What attackers try first (ASVS 6.2.4); lower case, of at least eight characters.
COMMON = frozenset(Path(__file__).with_name("common_passwords.txt").read_text("utf-8").split())


@frozen
class Passwords:
    """Hashes and verifies passwords."""

    threads: Threads
    entropy: Entropy
    parameters: Parameters = RFC_9106_LOW_MEMORY

    async def hash(self, password: str) -> str:
        """The encoded hash of a password; raises ServiceUnavailable when too many wait."""
        hasher = PasswordHasher.from_parameters(self.parameters)
        salt = self.entropy(self.parameters.salt_len)
        return await self.threads.run(lambda: hasher.hash(password, salt=salt))

    async def verify(self, encoded: str | None, password: str) -> bool:
        """Whether the password is the one; takes as long without a hash to compare with.

        Raises RequestEntityTooLarge at once for one that is too long, ServiceUnavailable when too
        many wait.
        """
        if len(password.encode("utf-8", "replace")) > PASSWORD_MAX_BYTES:
            raise RequestEntityTooLarge(f"A password has at most {PASSWORD_MAX_BYTES} bytes")
        hasher = PasswordHasher.from_parameters(self.parameters)
        compared = encoded or self._of_nobody()

        def compare() -> bool:
            try:
                return hasher.verify(compared, password)
            except (VerificationError, InvalidHashError):
                return False

        return await self.threads.run(compare)

    def outdated(self, encoded: str) -> bool:
        """Whether a hash was made with other parameters than today's."""
        return PasswordHasher.from_parameters(self.parameters).check_needs_rehash(encoded)

    def _of_nobody(self) -> str:
        """A hash that nothing matches and that costs what a real one costs."""
        p = self.parameters
        salt, digest = (
            base64.b64encode(self.entropy(size)).rstrip(b"=").decode()
            for size in (p.salt_len, p.hash_len)
        )
        costs = f"m={p.memory_cost},t={p.time_cost},p={p.parallelism}"
        return f"$argon2id$v={p.version}${costs}${salt}${digest}"


def check_password(password: str, email: str = "") -> None:
    """Raise BadRequest unless this may become the password of the user with that e-mail."""
    if len(password) < PASSWORD_MIN_CHARACTERS:
        raise BadRequest(f"A password has at least {PASSWORD_MIN_CHARACTERS} characters")
    if len(password.encode("utf-8", "replace")) > PASSWORD_MAX_BYTES:
        raise BadRequest(f"A password has at most {PASSWORD_MAX_BYTES} bytes")
    lowered = password.lower()
    if lowered in COMMON or len(set(lowered)) < 3:
        raise BadRequest("This password is too easy to guess")
    if lowered in (email.lower(), email.lower().split("@")[0]):
        raise BadRequest("The password may not be the e-mail address")
