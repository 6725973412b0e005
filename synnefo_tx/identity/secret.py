"""Secrets of people: how they are made and what is kept of them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

TOKEN_BYTES = 32
PASSWORD_BYTES = 10

Entropy = Callable[[int], bytes]
"""Gives so many random bytes."""


def new_token(entropy: Entropy) -> str:
    """A token: 43 characters, URL-safe base64 of 32 random bytes, as in the original."""
    token = base64.urlsafe_b64encode(entropy(TOKEN_BYTES)).rstrip(b"=").decode()
    # One that began with a hyphen would be taken for an option on a command line.
    return f"_{token[1:]}" if token.startswith("-") else token


def new_password(entropy: Entropy) -> str:
    """A password of 16 letters and digits."""
    return base64.b32encode(entropy(PASSWORD_BYTES)).decode().lower()


def digest(secret: str) -> bytes:
    """What is stored of a token, and of the name that somebody tried to log in with."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
