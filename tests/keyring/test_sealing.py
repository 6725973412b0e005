"""Secrets at rest: what is sealed, and what opens it."""

from __future__ import annotations

import base64
import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.keyring.model import DATABASE, Key, KeyringError, Ring, ring_of
from synnefo_tx.keyring.sealing import (
    NONCE_BYTES,
    SealBroken,
    UnknownKey,
    header_of,
    opened,
    prefix_of,
    sealed_with,
)
from tests.support.keyring import key

NONCES = st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES)
SECRETS, PURPOSES = st.binary(max_size=200), st.text(max_size=20)
VERSIONS = st.integers(0, 200)


def of_before(secret: bytes, purpose: str, nonce: bytes) -> bytes:
    """A value as it was sealed before there were versions."""
    return nonce + AESGCM(key(0).secret).encrypt(nonce, secret, purpose.encode())


class SealTests(SynchronousTestCase):
    @given(SECRETS, PURPOSES, NONCES, VERSIONS, st.sets(VERSIONS))
    def test_round_trip(self, secret, purpose, nonce, version, others) -> None:
        """What a version sealed is opened by a ring that has it, wherever it stands there."""
        sealed = sealed_with(key(version), secret, purpose, nonce)
        ring = Ring(tuple(key(each) for each in sorted(others | {version})))
        self.assertEqual(opened(ring, sealed, purpose), secret)
        header = header_of(sealed)
        self.assertEqual((header.name, header.version), (DATABASE, version))

    @given(SECRETS, PURPOSES, NONCES, st.data())
    def test_changed(self, secret, purpose, nonce, data) -> None:
        """A value with a changed byte or cut short, or for another purpose, opens nothing."""
        ring = Ring((key(2), key(1), key(0)))
        sealed = sealed_with(key(1), secret, purpose, nonce)
        at = data.draw(st.integers(0, len(sealed) - 1))
        changed = bytearray(sealed)
        changed[at] ^= data.draw(st.integers(1, 255))
        for wrong in (bytes(changed), sealed[:at]):
            self.assertRaises(SealBroken, opened, ring, wrong, purpose)
        self.assertRaises(SealBroken, opened, ring, sealed, purpose + "x")

    @given(SECRETS, PURPOSES, NONCES)
    def test_of_before(self, secret, purpose, nonce) -> None:
        """What the single key sealed before there were versions opens as version 0 only."""
        sealed = of_before(secret, purpose, nonce)
        self.assertEqual(opened(Ring((key(1), key(0))), sealed, purpose), secret)
        self.assertRaises(SealBroken, opened, Ring((key(1), key(0))), sealed, purpose + "x")
        self.assertRaises(SealBroken, opened, Ring((key(1),)), sealed, purpose)

    def test_begins_alike(self) -> None:
        """A value of before that begins by chance like one with a header opens all the same."""
        nonce = prefix_of(key(1))[:NONCE_BYTES]
        sealed = of_before(b"a secret that is long enough", "p", nonce)
        self.assertEqual(
            opened(Ring((key(1), key(0))), sealed, "p"), b"a secret that is long enough"
        )

    def test_unknown_key(self) -> None:
        """A version that is not there, and one made elsewhere, are told by name, never content."""
        sealed = sealed_with(key(3), b"secret", "p", bytes(NONCE_BYTES))
        elsewhere = Key(DATABASE, 3, os.urandom(32))
        for ring in (Ring((key(1),)), Ring((elsewhere,))):
            with self.assertRaises(UnknownKey) as unknown:
                opened(ring, sealed, "p")
            self.assertIn("database version 3", str(unknown.exception))
        self.assertRaises(SealBroken, opened, Ring((key(1),)), b"", "p")

    def test_names_apart(self) -> None:
        """A key of another name opens nothing, though its version be the same."""
        sealed = sealed_with(key(1, "other"), b"secret", "p", bytes(NONCE_BYTES))
        self.assertRaises(UnknownKey, opened, Ring((key(1),)), sealed, "p")

    def test_not_shown(self) -> None:
        """No text of a key or ring holds the key."""
        one = Key(DATABASE, 1, b"k" * 32)
        self.assertNotIn("kkk", repr(one) + repr(Ring((one,))))


class LineTests(SynchronousTestCase):
    def test_order(self) -> None:
        """The first line of a name seals; comments and empty lines count nothing."""
        secret = base64.b64encode(bytes(32)).decode()
        ring = ring_of(["# keys", "", f"database:1:{secret}", f"other:7:{secret}",
                        f" database:2:{secret} "])  # fmt: skip
        self.assertEqual(ring.sealing(DATABASE).version, 1)
        self.assertEqual([each.version for each in ring.of(DATABASE)], [1, 2])
        self.assertEqual(ring.sealing("other").version, 7)
        self.assertRaises(KeyringError, ring.sealing, "absent")

    def test_wrong(self) -> None:
        """A line that is none is told by its number, without what it holds."""
        secret = base64.b64encode(bytes(32)).decode()
        for line in (
            "database", "database:1", f"database:x:{secret}", f"database:-1:{secret}",
            f"DATABASE:1:{secret}", f"database:1:{secret[:-8]}", "database:1:%%%%", f":1:{secret}",
            f"database:{2**32}:{secret}", f"database:1:{secret}\ndatabase:1:{secret}",
        ):  # fmt: skip
            with self.assertRaises(KeyringError) as wrong:
                ring_of(line.splitlines())
            self.assertNotIn(secret[:20], str(wrong.exception))
