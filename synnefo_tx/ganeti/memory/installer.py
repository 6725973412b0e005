"""What an OS definition's create script does with a new instance's root disk.

It fetches the one-time parameters from the OS parameter ``config_url`` and writes, at the
beginning of the disk, a text that a test can read: never the password itself, but a hash of it.
The project's OS script for real clusters (tests/acceptance/testbed) writes the same lines.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from typing import Any

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from synnefo_tx.ganeti.memory.run import Fetch

FETCH_TIMEOUT_SECONDS = 30.0
HASH_ITERATIONS = 1000
"""Few: this is a trial machine's password, hashed while a reactor waits."""


class InstallFailed(Exception):
    """The script ended with an error; the text is the last line of its log."""


async def fetch_parameters(fetch: Fetch, url: str, clock: IReactorTime) -> dict[str, Any]:
    """The one-time parameters behind ``url``. Raises InstallFailed."""
    try:
        fetching = Deferred.fromCoroutine(_awaited(fetch, url))
        content = await fetching.addTimeout(FETCH_TIMEOUT_SECONDS, clock)
        parameters = json.loads(content)
    except defer.CancelledError:
        raise
    except defer.TimeoutError as expired:
        raise InstallFailed("no answer from config_url") from expired
    except Exception as failed:
        # The address is a secret while it is unread, and the log is shown in the job.
        raise InstallFailed(f"config_url cannot be read: {type(failed).__name__}") from failed
    if not isinstance(parameters, dict):
        raise InstallFailed("config_url does not hold parameters")
    return parameters


async def _awaited(fetch: Fetch, url: str) -> bytes:
    return await fetch(url)


def disk_text(
    instance_name: str,
    osparams: Mapping[str, str],
    fetched: Mapping[str, Any],
    chance: random.Random,
) -> str:
    """What is written at the beginning of the root disk. Raises InstallFailed."""
    image = fetched.get("img_id") or osparams.get("img_id") or ""
    lines = [f"testos {instance_name} {image}"]
    if fetched.get("img_passwd"):
        lines.append(f"password {password_hash(str(fetched['img_passwd']), chance)}")
    try:
        files = json.loads(fetched.get("img_personality") or "[]")
        for file in files:
            owner, group = file.get("owner") or "root", file.get("group") or "root"
            mode = file.get("mode")
            octal = f"{0o440 if mode is None else int(mode):04o}"
            lines.append(f"file {file['path']} {owner} {group} {octal} {file['contents']}")
    except (ValueError, TypeError, KeyError, AttributeError) as broken:
        raise InstallFailed("img_personality is not a list of files") from broken
    return "\n".join([*lines, "end", ""])


def password_hash(password: str, chance: random.Random) -> str:
    """``pbkdf2-sha256$iterations$salt$hash``, salt and hash in hexadecimal."""
    salt = chance.randbytes(8)
    return _hashed(password, salt)


def password_matches(password: str, stored: str) -> bool:
    """Whether ``stored`` was made of this password."""
    salt = bytes.fromhex(stored.split("$")[2])
    return _hashed(password, salt) == stored


def _hashed(password: str, salt: bytes) -> str:
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, HASH_ITERATIONS)
    return f"pbkdf2-sha256${HASH_ITERATIONS}${salt.hex()}${digest.hex()}"
