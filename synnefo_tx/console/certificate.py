"""The console's certificate: the operator's, or one made here and signed by itself."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import crypto
from twisted.internet.ssl import CertificateOptions, TLSVersion

LIFE = timedelta(days=397)
RENEW_BEFORE = timedelta(days=30)
CERTIFICATE_FILE = "console-certificate.pem"
KEY_FILE = "console-key.pem"
_END = b"-----END CERTIFICATE-----"


def tls_options(certificate: Path, key: Path) -> CertificateOptions:
    """TLS 1.2 or newer with the chain in ``certificate``, the leaf first, and its key (both PEM).

    Raises OSError when a file cannot be read, ValueError naming the file when it is unusable.
    """
    try:
        pieces = certificate.read_bytes().split(_END)[:-1]
        chain = [crypto.load_certificate(crypto.FILETYPE_PEM, each + _END) for each in pieces]
        private_key = crypto.load_privatekey(crypto.FILETYPE_PEM, key.read_bytes())
    except crypto.Error as error:
        raise ValueError(f"{certificate} or {key} is no usable PEM file") from error
    if not chain:
        raise ValueError(f"{certificate} holds no certificate")
    if chain[0].get_pubkey().to_cryptography_key() != _public_half(private_key):
        raise ValueError(f"{key} does not belong to {certificate}")
    return CertificateOptions(
        privateKey=private_key,
        certificate=chain[0],
        extraCertChain=chain[1:] or None,
        raiseMinimumTo=TLSVersion.TLSv1_2,
    )


def _public_half(key: crypto.PKey) -> object:
    return key.to_cryptography_key().public_key()


def self_signed(folder: Path, names: Iterable[str], now: datetime) -> tuple[Path, Path]:
    """A certificate and key of our own in ``folder``, made when there is none that still lasts.

    It is good for ``names`` (host names or addresses), ``localhost`` and the loopback addresses.
    The key's file has mode 0600.
    """
    certificate, key = folder / CERTIFICATE_FILE, folder / KEY_FILE
    if not (key.exists() and _lasts(certificate, now)):
        folder.mkdir(parents=True, exist_ok=True)
        wanted = {*names, "localhost", "127.0.0.1", "::1"}
        certificate_pem, key_pem = _make(sorted(wanted), now)
        _write(key, key_pem, 0o600)
        _write(certificate, certificate_pem, 0o644)
    return certificate, key


def _lasts(certificate: Path, now: datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return found.not_valid_after_utc - now > RENEW_BEFORE


def _make(names: list[str], now: datetime) -> tuple[bytes, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Synnefo console")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + LIFE)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key_pem


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write whole or not at all; the mode holds from the first byte on."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    draft.replace(path)
