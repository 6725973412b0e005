"""How a secret is sealed: AES-256-GCM, with a header that names the key and its version.

    magic 5 | length of name 1 | name | version 4 | fingerprint of the key 4 | nonce 12 | encrypted

The header and the purpose are authenticated with the secret, so that a value sealed as a cluster's
password cannot be passed off as something else. Before there were versions a value was nonce and
encrypted secret with the purpose alone: such values are opened with version 0.
"""

from __future__ import annotations

from attrs import frozen
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from synnefo_tx.keyring.model import DATABASE, FINGERPRINT_BYTES, Key, Ring

MAGIC = b"\x00snf\x01"
VERSION_BYTES = 4
NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value was changed, or sealed for another purpose or with an unknown key."""


class UnknownKey(SealBroken):
    """A value was sealed with a key that is not there; the text names it."""


@frozen
class Header:
    """What a sealed value says of its key."""

    name: str
    version: int
    fingerprint: bytes
    size_bytes: int


def name_prefix(name: str) -> bytes:
    """What values begin with that were sealed with any version of a key."""
    return MAGIC + bytes([len(name)]) + name.encode()


def prefix_of(key: Key) -> bytes:
    """What values begin with that were sealed with a key."""
    version = key.version.to_bytes(VERSION_BYTES, "big")
    return name_prefix(key.name) + version + key.fingerprint


def header_of(sealed: bytes) -> Header | None:
    """The header of a value, None for one without."""
    if not sealed.startswith(MAGIC) or len(sealed) <= len(MAGIC):
        return None
    start = len(MAGIC) + 1
    end = start + sealed[len(MAGIC)]
    size = end + VERSION_BYTES + FINGERPRINT_BYTES
    name = sealed[start:end]
    if len(sealed) < size + NONCE_BYTES or not name.isascii():
        return None
    version = int.from_bytes(sealed[end : end + VERSION_BYTES], "big")
    return Header(name.decode(), version, sealed[end + VERSION_BYTES : size], size)


def sealed_with(key: Key, secret: bytes, purpose: str, nonce: bytes) -> bytes:
    """The secret, encrypted and bound to ``purpose``. A nonce must never repeat under one key."""
    prefix = prefix_of(key)
    return prefix + nonce + AESGCM(key.secret).encrypt(nonce, secret, prefix + purpose.encode())


def opened(ring: Ring, sealed: bytes, purpose: str) -> bytes:
    """The secret that was sealed for ``purpose``; raises SealBroken, UnknownKey."""
    header = header_of(sealed)
    key = None if header is None else ring.find(header.name, header.version)
    if header is not None and (key is None or key.fingerprint != header.fingerprint):
        key = None
    if header is not None and key is not None:
        rest = sealed[header.size_bytes :]
        secret = _decrypted(key, rest, sealed[: header.size_bytes] + purpose.encode())
        if secret is not None:
            return secret
    # A value without header may begin, by chance, like one that has it.
    first = ring.find(DATABASE, 0)
    secret = None if first is None else _decrypted(first, sealed, purpose.encode())
    if secret is not None:
        return secret
    if header is not None and key is None:
        known = f"{header.name} version {header.version} ({header.fingerprint.hex()})"
        raise UnknownKey(f"there is no key {known} here to open a secret ({purpose})")
    if header is None and first is None:
        raise UnknownKey(f"there is no key {DATABASE} version 0 here to open a secret ({purpose})")
    raise SealBroken(purpose)


def _decrypted(key: Key, sealed: bytes, bound: bytes) -> bytes | None:
    try:
        return AESGCM(key.secret).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except (InvalidTag, ValueError):
        return None
