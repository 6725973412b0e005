"""Values of API tokens."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime

from attrs import field, frozen

from synnefo_tx.caller import Caller

SECRET_BYTES = 32

Entropy = Callable[[int], bytes]
"""Gives so many random bytes."""


@frozen
class Access:
    """What a valid token stands for."""

    caller: Caller
    groups: tuple[str, ...]
    created: datetime
    expires: datetime
    default_project_name: str


@frozen
class IssuedToken:
    """A token at the only moment when its secret is known."""

    id: int
    secret: str = field(repr=False)
    created: datetime
    expires: datetime


def new_secret(entropy: Entropy) -> str:
    """A token: 43 characters, URL-safe base64 of 32 random bytes, as in the original."""
    return base64.urlsafe_b64encode(entropy(SECRET_BYTES)).rstrip(b"=").decode()


def digest(secret: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).digest()
