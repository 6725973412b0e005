"""Self-signed certificates, as a Ganeti cluster makes itself one."""

from __future__ import annotations

import datetime

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

GANETI_COMMON_NAME = "ganeti.example.com"


@frozen
class CertificateFiles:
    """A certificate and its private key, both PEM."""

    certificate_pem: bytes
    key_pem: bytes


def self_signed(
    now: datetime.datetime,
    common_name: str = GANETI_COMMON_NAME,
    alternative_names: tuple[str, ...] = (),
    valid_days: int = 5 * 365,
) -> CertificateFiles:
    """A certificate valid from a day before ``now``; without alternative names as Ganeti's."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=valid_days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    )
    if alternative_names:
        names = [x509.DNSName(alternative) for alternative in alternative_names]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = builder.sign(key, hashes.SHA256())
    return CertificateFiles(
        certificate_pem=certificate.public_bytes(serialization.Encoding.PEM),
        key_pem=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
