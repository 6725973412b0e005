"""The console's certificate."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from twisted.trial.unittest import SynchronousTestCase

from synnefo_tx.console.certificate import self_signed, tls_options

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class SelfSignedTests(SynchronousTestCase):
    def setUp(self):
        self.folder = Path(self.mktemp())

    def make(self, now=NOW):
        return self_signed(self.folder, ["console.example.org", "192.0.2.1"], now)

    def test_made_once(self):
        """It is made at the first start and kept at the second."""
        certificate, key = self.make()
        before = certificate.read_bytes(), key.read_bytes()
        self.assertEqual(self.make(NOW + timedelta(days=300)), (certificate, key))
        self.assertEqual((certificate.read_bytes(), key.read_bytes()), before)

    def test_renewed(self):
        """It is made anew before it ends, when it is damaged, and when its key is gone."""
        certificate, key = self.make()
        first = certificate.read_bytes()
        self.make(NOW + timedelta(days=380))
        second = certificate.read_bytes()
        self.assertNotEqual(first, second)
        certificate.write_bytes(b"damaged")
        self.make()
        third = certificate.read_bytes()
        self.assertNotIn(third, (second, b"damaged"))
        key.unlink()
        self.make()
        self.assertNotEqual(certificate.read_bytes(), third)
        tls_options(certificate, key)

    def test_key_is_private(self):
        """Nobody but the owner may read the key."""
        _, key = self.make()
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)

    def test_names(self):
        """It is good for the names given and for this machine."""
        found = x509.load_pem_x509_certificate(self.make()[0].read_bytes())
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = set(names.get_values_for_type(x509.DNSName))
        self.assertEqual(hosts, {"console.example.org", "localhost"})
        addresses = {str(each) for each in names.get_values_for_type(x509.IPAddress)}
        self.assertEqual(addresses, {"192.0.2.1", "127.0.0.1", "::1"})


class OptionsTests(SynchronousTestCase):
    def test_unusable_files(self):
        """Files that are no PEM, or of another key, are refused by name."""
        folder = Path(self.mktemp())
        certificate, key = self_signed(folder, [], NOW)
        empty = folder / "empty.pem"
        empty.write_bytes(b"")
        with self.assertRaisesRegex(ValueError, "empty.pem"):
            tls_options(empty, key)
        with self.assertRaisesRegex(ValueError, "empty.pem"):
            tls_options(certificate, empty)
        self.assertRaises(FileNotFoundError, tls_options, folder / "absent.pem", key)
        _, other = self_signed(folder / "other", [], NOW)
        with self.assertRaisesRegex(ValueError, "does not belong"):
            tls_options(certificate, other)
