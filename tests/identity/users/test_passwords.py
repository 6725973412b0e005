"""Passwords: what is one, what a hash keeps, how many may wait for it."""

from __future__ import annotations

import secrets

from argon2.profiles import CHEAPEST
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.faults import BadRequest, RequestEntityTooLarge
from synnefo_tx.identity.users.passwords import Passwords, check_password
from tests.support.accounts import InPlace
from tests.support.serial import finish


class CheckPasswordTests(SynchronousTestCase):
    def test_accepted(self) -> None:
        """Eight characters of any kind are enough, and 1024 bytes are not too many."""
        for password in ("tr0ub4do", "naïve café", "x y" * 300, "合言葉は山と川です"):
            check_password(password, "alice@example.org")

    def test_refused(self) -> None:
        """Short, endless, common ones in any case, repeated letters and the own e-mail are not."""
        for password in ("", "tr0ub4d", "Password123", "iloveyou", "ababababab", "ab" + "é" * 512,
                         "alice@example.org", "Alice.Liddell"):  # fmt: skip
            email = "alice.liddell@x.org" if "Liddell" in password else "alice@example.org"
            with self.assertRaises(BadRequest):
                check_password(password, email)


class PasswordsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.passwords = Passwords(InPlace(), secrets.token_bytes, CHEAPEST)

    def verify(self, encoded: str | None, password: str) -> bool:
        return finish(self.passwords.verify(encoded, password))

    def test_hash(self) -> None:
        """A hash is argon2id, salted, and fits one password: case and every byte count."""
        password = "Aé" * 300
        encoded = finish(self.passwords.hash(password))
        self.assertTrue(encoded.startswith("$argon2id$"))
        self.assertNotEqual(encoded, finish(self.passwords.hash(password)))
        self.assertTrue(self.verify(encoded, password))
        for other in (password.lower(), password[:-1], password[:-1] + "e", password + " ", ""):
            self.assertFalse(self.verify(encoded, other))

    def test_parameters(self) -> None:
        """By default a hash costs what RFC 9106 recommends: 64 MiB and three passes."""
        encoded = finish(Passwords(InPlace(), secrets.token_bytes).hash("tr0ub4dor"))
        self.assertIn("$v=19$m=65536,t=3,p=4$", encoded)
        self.assertTrue(self.passwords.outdated(encoded))

    def test_nobody(self) -> None:
        """Without a hash nothing matches, and one of the same costs is computed."""
        sizes = []

        def entropy(size: int) -> bytes:
            sizes.append(size)
            return bytes(size)

        passwords = Passwords(InPlace(), entropy, CHEAPEST)
        self.assertFalse(finish(passwords.verify(None, "tr0ub4dor")))
        self.assertEqual(sizes, [CHEAPEST.salt_len, CHEAPEST.hash_len])
        self.assertFalse(passwords.outdated(passwords._of_nobody()))

    def test_garbage(self) -> None:
        """A hash that is none, of another program say, matches nothing."""
        self.assertFalse(self.verify("pbkdf2_sha256$1$x$y", "tr0ub4dor"))

    def test_endless(self) -> None:
        """A password over the limit is refused without being hashed."""
        with self.assertRaises(RequestEntityTooLarge):
            self.verify(None, "x" * 1025)
