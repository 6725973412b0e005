"""Whose page makes a request."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.rest.origin import origin_of, own_origins


class OriginTests(SynchronousTestCase):
    def test_as_browsers_write_it(self):
        """Path and default port fall away, host and scheme are in small letters."""
        for url, origin in (
            ("https://Cloud.Example.org/ui/", "https://cloud.example.org"),
            ("https://cloud.example.org:443", "https://cloud.example.org"),
            ("http://cloud.example.org:80", "http://cloud.example.org"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
            ("https://[::1]:8443", "https://[::1]:8443"),
        ):
            self.assertEqual(origin_of(url), origin)

    def test_no_url(self):
        """A setting that is no URL is refused, not ignored."""
        for text in ("cloud.example.org", "*", "", "null"):
            self.assertRaises(ValueError, origin_of, text)

    def test_own(self) -> None:
        """A site is its own Origin only; one on this machine has this machine's names."""
        self.assertEqual(own_origins("https://cloud.example.org/x"), {"https://cloud.example.org"})
        names = {"http://127.0.0.1:8080", "http://localhost:8080"}
        self.assertEqual(own_origins("http://127.0.0.1:8080"), names)
        self.assertEqual(own_origins("http://localhost:8080/"), names)
        self.assertEqual(own_origins("https://[::1]"), {
            "https://[::1]", "https://127.0.0.1", "https://localhost",
        })  # fmt: skip
