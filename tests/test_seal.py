"""Secrets at rest."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.seal import SealBroken, Sealer, key_file


class SealTests(SynchronousTestCase):
    @given(st.binary(max_size=200), st.text(max_size=20))
    def test_round_trip(self, secret, purpose) -> None:
        """What was sealed is opened with the same key for the same purpose."""
        sealer = Sealer(bytes(32))
        sealed = sealer.seal(secret, purpose)
        self.assertEqual(sealer.open(sealed, purpose), secret)
        self.assertNotEqual(sealed, sealer.seal(secret, purpose))

    @given(st.integers(0, 39), st.integers(1, 255))
    def test_changed(self, at, flip) -> None:
        """A changed byte, another key and another purpose open nothing."""
        sealer = Sealer(bytes(32))
        sealed = bytearray(sealer.seal(b"secret secret", "p"))
        for wrong in ((Sealer(bytes([1]) * 32), "p"), (sealer, "q")):
            self.assertRaises(SealBroken, wrong[0].open, bytes(sealed), wrong[1])
        sealed[at] ^= flip
        self.assertRaises(SealBroken, sealer.open, bytes(sealed), "p")
        self.assertRaises(SealBroken, sealer.open, b"", "p")

    def test_key_file(self) -> None:
        """The key is made once, for its owner only."""
        path = Path(self.mktemp()) / "keys" / "k"
        key = key_file(path)
        self.assertEqual((len(key), key_file(path)), (32, key))
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
