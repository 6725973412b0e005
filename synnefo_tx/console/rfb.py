"""The opening of an RFB connection (RFC 6143 §7.1 and §7.2), both sides, without any I/O.

Each side is a generator that yields what to send and how many bytes it needs next; ``Handshake``
feeds it with bytes however they arrive. A side never holds more than the step it waits for
(at most ``MAX_REASON_BYTES``); what comes after its last step is handed out as ``rest``.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Generator

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

VERSION_3_3 = b"RFB 003.003\n"
VERSION_3_7 = b"RFB 003.007\n"
VERSION_3_8 = b"RFB 003.008\n"
VERSIONS = (VERSION_3_3, VERSION_3_7, VERSION_3_8)

SECURITY_INVALID = 0
SECURITY_NONE = 1
SECURITY_VNC = 2

CHALLENGE_BYTES = 16
PASSWORD_BYTES = 8
MAX_REASON_BYTES = 1024

_RESULT_OK = struct.pack("!I", 0)
_RESULT_FAILED = struct.pack("!I", 1)

Script = Generator[tuple[bytes, int], bytes, bytes]
"""Yields (bytes to send, bytes needed next), is sent exactly those, returns the last to send."""


class RfbError(Exception):
    """The peer broke the protocol or was refused; ``farewell`` is sent to it before closing."""

    def __init__(self, text: str, farewell: bytes = b"") -> None:
        super().__init__(text)
        self.farewell = farewell


class Handshake:
    """One side of the opening; the result does not depend on how its input is cut."""

    def __init__(self, script: Script) -> None:
        self._script = script
        self._pending = b""
        self._wanted_bytes = 0
        self.finished = False
        self.rest = b""

    def begin(self) -> bytes:
        """Start; returns what to send first. Call once, before ``receive``."""
        first, self._wanted_bytes = next(self._script)
        return first

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the peer; returns what to send. After the end all goes to ``rest``.

        Raises RfbError; the handshake is over then.
        """
        if self.finished:
            self.rest += data
            return b""
        self._pending += data
        replies = b""
        while not self.finished and len(self._pending) >= self._wanted_bytes:
            taken = self._pending[: self._wanted_bytes]
            self._pending = self._pending[self._wanted_bytes :]
            try:
                replies += self._step(taken)
            except RfbError as refusal:
                refusal.farewell = replies + refusal.farewell
                raise
        if self.finished:
            self.rest, self._pending = self._pending, b""
        return replies

    def _step(self, taken: bytes) -> bytes:
        try:
            reply, self._wanted_bytes = self._script.send(taken)
        except StopIteration as end:
            self.finished = True
            reply = end.value
        return reply


def vnc_response(password: str, challenge: bytes) -> bytes:
    """The answer to a VNC authentication challenge (RFC 6143 §7.2.2).

    DES in ECB mode; the key is the password's first 8 bytes, each with its bits reversed.
    Single DES is Triple DES with three equal keys.
    """
    key = password.encode("latin-1", "replace")[:PASSWORD_BYTES].ljust(PASSWORD_BYTES, b"\0")
    reversed_key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in key)
    cipher = Cipher(TripleDES(reversed_key * 3), modes.ECB())  # noqa: S305 RFC 6143 asks for it
    encryptor = cipher.encryptor()
    return encryptor.update(challenge) + encryptor.finalize()


def _counted(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("!I", len(encoded)) + encoded


def serve_vnc_authentication(password: str, challenge: bytes) -> Script:
    """The server's side: offers 3.8 and nothing but VNC authentication.

    A client may answer with 3.3 or 3.7 and is then spoken to in that version (§7.1.1).
    ``challenge`` is 16 fresh random bytes. Raises RfbError when the client is refused.
    """
    version = yield VERSION_3_8, len(VERSION_3_8)
    if version not in VERSIONS:
        raise RfbError("the client speaks no known version of RFB")
    if version == VERSION_3_3:
        response = yield struct.pack("!I", SECURITY_VNC) + challenge, CHALLENGE_BYTES
    else:
        chosen = yield bytes([1, SECURITY_VNC]), 1
        if chosen[0] != SECURITY_VNC:
            text = "only VNC authentication is offered"
            raise RfbError(text, _failure(version, text))
        response = yield challenge, CHALLENGE_BYTES
    if not hmac.compare_digest(response, vnc_response(password, challenge)):
        text = "wrong password"
        raise RfbError(text, _failure(version, text))
    return _RESULT_OK


def _failure(version: bytes, text: str) -> bytes:
    return _RESULT_FAILED + (_counted(text) if version == VERSION_3_8 else b"")


def open_screen(password: str | None = None) -> Script:
    """The client's side: a hypervisor's server of version 3.3, 3.7 or 3.8.

    Takes security type None, or VNC authentication when ``password`` is given. Raises RfbError
    with the server's reason, if it gave one.
    """
    version = yield b"", len(VERSION_3_8)
    if version not in VERSIONS:
        raise RfbError("the server speaks no known version of RFB")
    if version == VERSION_3_3:
        security = struct.unpack("!I", (yield version, 4))[0]
        if security == SECURITY_INVALID:
            raise RfbError((yield from _read_reason(b"")))
        _check_security(security, bytes([security & 0xFF]), password)
        answer = b""
    else:
        security = yield from _choose_security(version, password)
        answer = bytes([security])
    if security == SECURITY_VNC:
        challenge = yield answer, CHALLENGE_BYTES
        answer = vnc_response(password or "", challenge)
    elif version != VERSION_3_8:
        return answer  # no SecurityResult follows type None before 3.8 (§7.2.1, appendix A)
    result = yield answer, 4
    if result != _RESULT_OK:
        text = (yield from _read_reason(b"")) if version == VERSION_3_8 else "authentication failed"
        raise RfbError(text)
    return b""


def _choose_security(
    version: bytes, password: str | None
) -> Generator[tuple[bytes, int], bytes, int]:
    count = (yield version, 1)[0]
    if count == 0:
        raise RfbError((yield from _read_reason(b"")))
    offered = yield b"", count
    for security in (SECURITY_NONE, SECURITY_VNC):
        if security in offered:
            _check_security(security, offered, password)
            return security
    raise RfbError(f"no usable security type among {sorted(set(offered))}")


def _check_security(security: int, offered: bytes, password: str | None) -> None:
    if security == SECURITY_VNC and password is None:
        raise RfbError("the server asks for a password and none is known")
    if security not in (SECURITY_NONE, SECURITY_VNC):
        raise RfbError(f"no usable security type among {sorted(set(offered))}")


def _read_reason(answer: bytes) -> Generator[tuple[bytes, int], bytes, str]:
    length = struct.unpack("!I", (yield answer, 4))[0]
    if length > MAX_REASON_BYTES:
        return "refused with an overlong reason"
    text = yield b"", length
    return text.decode("utf-8", "replace") or "refused without a reason"
