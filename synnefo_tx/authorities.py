"""Certificates of authorities, as operators give them."""

from __future__ import annotations

import re

from OpenSSL import crypto
from twisted.internet.ssl import Certificate

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def read_authorities(pem: str) -> list[Certificate]:
    """The certificates in a PEM text. Raises ValueError when there is none, or one is broken."""
    try:
        found = [Certificate.loadPEM(each.encode()) for each in _PEM.findall(pem)]
    except crypto.Error:
        raise ValueError("a certificate of the authority is broken") from None
    if not found:
        raise ValueError("the authority holds no PEM certificate")
    return found
