"""Values of the keyring."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable

from attrs import field, frozen

KEY_BYTES = 32
FINGERPRINT_BYTES = 4
VERSION_MAX = 2**32 - 1
VERSION_DIGITS_MAX = 10
NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
DATABASE = "database"
"""The key of secrets in the database."""


class KeyringError(Exception):
    """Keys cannot be used; the text says which and what to do, never the key."""


@frozen
class Key:
    """One version of a named key; version 0 is the single key of installations before there were
    versions."""

    name: str
    version: int
    secret: bytes = field(repr=False)

    def __attrs_post_init__(self) -> None:
        if not NAME.fullmatch(self.name) or not 0 <= self.version <= VERSION_MAX:
            # A line whose parts are in another order has the secret for a name.
            raise KeyringError("a key's name or version is none: write name:version:base64")
        if len(self.secret) != KEY_BYTES:
            raise KeyringError(
                f"key {self.name} version {self.version} has {len(self.secret)} bytes, "
                f"not {KEY_BYTES}"
            )

    @property
    def fingerprint(self) -> bytes:
        """What tells a key from another of the same version, made on another machine."""
        return hashlib.sha256(b"synnefo key " + self.secret).digest()[:FINGERPRINT_BYTES]


@frozen
class Ring:
    """All keys of a process. Of those with one name the first seals, all open."""

    keys: tuple[Key, ...] = field(repr=False)

    def sealing(self, name: str) -> Key:
        """The key of a name that new secrets are sealed with; raises KeyringError."""
        for key in self.keys:
            if key.name == name:
                return key
        raise KeyringError(f"there is no key {name}")

    def find(self, name: str, version: int) -> Key | None:
        """A version of a key, if it is there."""
        for key in self.keys:
            if (key.name, key.version) == (name, version):
                return key
        return None

    def of(self, name: str) -> tuple[Key, ...]:
        """All versions of a key, the one that seals first."""
        return tuple(key for key in self.keys if key.name == name)


def ring_of(lines: Iterable[str]) -> Ring:
    """The keys of lines ``name:version:base64``; empty ones and comments (#) are left out.

    Raises KeyringError naming the line's number.
    """
    keys: list[Key] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, _, rest = text.partition(":")
        version, _, secret = rest.partition(":")
        if not (version.isascii() and version.isdigit() and len(version) <= VERSION_DIGITS_MAX):
            raise KeyringError(f"line {number} of the keys is not name:version:base64")
        try:
            key = Key(name, int(version), base64.b64decode(secret, validate=True))
        except binascii.Error:
            raise KeyringError(f"line {number} of the keys does not end in base64") from None
        if any((each.name, each.version) == (key.name, key.version) for each in keys):
            raise KeyringError(f"key {name} version {key.version} is there twice")
        keys.append(key)
    return Ring(tuple(keys))
