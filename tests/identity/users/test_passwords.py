"""Passwords: what is one, what a hash keeps, how many may wait for it."""

from __future__ import annotations

import secrets
import threading

from argon2.profiles import CHEAPEST
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from synnefo_tx.faults import BadRequest, RequestEntityTooLarge, ServiceUnavailable
from synnefo_tx.identity.users.passwords import HashingThreads, Passwords, check_password
from synnefo_tx.settings import Identity
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


class HashingThreadsTests(TestCase):
    def start(self, threads: int, waiting: int) -> HashingThreads:
        hashing = HashingThreads(
            Identity(hashing_threads=threads, hashing_waiting_max=waiting), reactor
        )
        hashing.startService()
        self.addCleanup(hashing.stopService)
        return hashing

    async def test_elsewhere(self) -> None:
        """Work runs in another thread, and what it raises is raised."""
        hashing = self.start(1, 1)
        self.assertNotEqual(await hashing.run(threading.get_ident), threading.get_ident())
        with self.assertRaises(ZeroDivisionError):
            await hashing.run(lambda: 1 / 0)

    async def test_bound(self) -> None:
        """One runs, two wait, the next is a 503; when they are done there is room again."""
        hashing = self.start(1, 2)
        gate = threading.Event()
        self.addCleanup(gate.set)
        works = [Deferred.fromCoroutine(hashing.run(gate.wait)) for _ in range(3)]
        with self.assertRaises(ServiceUnavailable):
            await hashing.run(gate.wait)
        gate.set()
        for work in works:
            self.assertTrue(await work)
        self.assertTrue(await hashing.run(gate.wait))

    async def test_cancelled(self) -> None:
        """A caller that gives up frees the place only when the thread is done."""
        hashing = self.start(1, 0)
        gate = threading.Event()
        self.addCleanup(gate.set)
        work = Deferred.fromCoroutine(hashing.run(gate.wait))
        work.addErrback(lambda failure: None)
        work.cancel()
        with self.assertRaises(ServiceUnavailable):
            await hashing.run(gate.wait)

    async def test_stop(self) -> None:
        """Stopping refuses what waits and leaves no thread."""
        hashing = self.start(1, 5)
        gate = threading.Event()
        started = threading.Event()
        first = Deferred.fromCoroutine(hashing.run(lambda: started.set() or gate.wait()))
        second = Deferred.fromCoroutine(hashing.run(gate.wait))
        started.wait(10)
        threading.Timer(0.05, gate.set).start()
        hashing.stopService()
        self.assertTrue(await first)
        with self.assertRaises(ServiceUnavailable):
            await second
        with self.assertRaises(ServiceUnavailable):
            await hashing.run(gate.wait)
        self.assertEqual([t.name for t in threading.enumerate() if "hashing" in t.name], [])
