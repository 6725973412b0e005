"""Who carries mails away: an SMTP server (RFC 5321, STARTTLS by RFC 3207), or a folder."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.error import ConnectError, ConnectionDone, ConnectionLost, DNSLookupError
from twisted.internet.ssl import TLSVersion, optionsForClientTLS, trustRootFromCertificates
from twisted.mail.smtp import (
    AUTHDeclinedError,
    ESMTPSender,
    ESMTPSenderFactory,
    SMTPClientError,
    SMTPConnectError,
    SMTPDeliveryError,
)

from synnefo_tx.authorities import read_authorities
from synnefo_tx.faults import ServiceUnavailable
from synnefo_tx.mail.model import Carrier, NotSent, Refused
from synnefo_tx.settings import MailSettings, SettingsError
from synnefo_tx.threads import Threads

PERMANENT = range(550, 560)
LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))


class _Sender(ESMTPSender):
    """A sender that takes nothing said before TLS for said within it (CVE-2011-0411), and that
    doubles the dot which begins any line (RFC 5321 §4.5.2).

    Twisted looks for such lines in each piece of the message alone. Where a piece ended with the
    line before, a line of one dot would end the mail, and the server would take the rest of it, the
    words of some user, for our commands.
    """

    _line_ended = False

    def transformChunk(self, chunk: bytes) -> bytes:
        doubled: bytes = super().transformChunk(chunk)
        if self._line_ended and chunk.startswith(b"."):
            doubled = b"." + doubled
        self._line_ended = chunk.endswith(b"\n")
        return doubled

    def esmtpState_starttls(self, code: int, resp: bytes) -> None:
        if self._buffer:
            self.esmtpTLSFailed(code, b"the server spoke before TLS began")
        else:
            super().esmtpState_starttls(code, resp)


class _Factory(ESMTPSenderFactory):
    protocol = _Sender
    noisy = False


class SmtpCarrier:
    """Hands mails to the server of the settings, over TLS that is verified with its name."""

    def __init__(self, settings: MailSettings, reactor: Any, trust_root: Any = None) -> None:
        self._settings = settings
        self._reactor = reactor
        self._trust_root = trust_root

    async def carry(self, recipient: str, message: bytes) -> None:
        """Hand over a message; raises NotSent, or Refused for a recipient or mail that the server
        will never take."""
        own = self._settings
        sent: Deferred[Any] = Deferred()
        factory = self._factory(recipient, message, sent)
        connector = self._reactor.connectTCP(
            own.smtp_host, own.smtp_port, factory, timeout=own.connect_limit_seconds
        )
        is_sent = False
        try:
            await sent.addTimeout(own.total_limit_seconds, self._reactor)
            is_sent = True
        except (SMTPDeliveryError, SMTPClientError) as error:
            raise _explained(error) from None
        except (ConnectError, ConnectionDone, ConnectionLost, DNSLookupError, SSL.Error) as error:
            raise NotSent(str(error) or type(error).__name__) from None
        except (TimeoutError, CancelledError):
            raise NotSent(f"no answer within {own.total_limit_seconds} s") from None
        finally:
            factory.sendFinished = True
            _leave(connector, is_sent)

    def _factory(self, recipient: str, message: bytes, sent: Deferred[Any]) -> _Factory:
        own = self._settings
        tls = None
        if not own.plain_allowed:
            tls = optionsForClientTLS(
                own.smtp_host,
                trustRoot=self._trust_root,
                extraCertificateOptions={"raiseMinimumTo": TLSVersion.TLSv1_2},
            )
        return _Factory(
            own.smtp_user.encode(),
            own.smtp_password.encode(),
            own.sender_address,
            recipient,
            BytesIO(message),
            sent,
            retries=0,
            contextFactory=tls,
            requireAuthentication=bool(own.smtp_user),
            requireTransportSecurity=not own.plain_allowed,
            hostname=None if own.plain_allowed else own.smtp_host,
        )


def _leave(connector: Any, is_sent: bool) -> None:
    """End a connection: politely after a mail, else at once."""
    if is_sent or connector.state != "connected":
        connector.disconnect()
    else:
        connector.transport.abortConnection()


def _explained(error: SMTPDeliveryError | SMTPClientError) -> NotSent | Refused:
    """What an error of the server means: of the recipient or the mail, for good, or for now."""
    text = f"{error.code} {error.resp!r}"
    cause = error.__cause__
    if isinstance(error, SMTPConnectError) or cause is not None:
        return NotSent(f"{text}: {cause}" if cause else text)
    if isinstance(error, AUTHDeclinedError) or error.code not in PERMANENT:
        return NotSent(text)
    return Refused(text)


class FileCarrier:
    """Writes each mail to a file of a folder, for its owner's eyes: for the demo, and for clouds
    that have no mail server yet."""

    def __init__(self, folder: Path, threads: Threads) -> None:
        self._folder = folder
        self._threads = threads

    async def carry(self, recipient: str, message: bytes) -> None:
        """Write a message; the same one replaces itself. Raises NotSent."""
        name = _file_name(message)
        try:
            await self._threads.run(lambda: self._write(name, message))
        except (OSError, ServiceUnavailable) as error:
            raise NotSent(str(error)) from None

    def _write(self, name: str, message: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = self._folder / f".{name}.{os.getpid()}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as stream:
            stream.write(message)
            stream.flush()
            os.fsync(stream.fileno())
        unfinished.replace(self._folder / name)


def _file_name(message: bytes) -> str:
    """A file's name from the Message-ID, which is ours and comes first."""
    id = message.partition(b"<")[2].partition(b"@")[0].decode("ascii")
    return f"{id}.eml"


def carrier_of(home: Path, settings: MailSettings, reactor: Any, threads: Threads) -> Carrier:
    """The carrier that the settings name. Raises SettingsError."""
    if not settings.smtp_host:
        return FileCarrier(home / "mails", threads)
    if settings.plain_allowed and settings.smtp_host not in LOOPBACK:
        raise SettingsError("mail.plain_allowed is for a mail server on this machine alone")
    if not settings.ca_file:
        return SmtpCarrier(settings, reactor)
    try:
        pem = Path(settings.ca_file).read_text("ascii")
        authorities = read_authorities(pem)
    except (OSError, ValueError) as error:
        raise SettingsError(f"mail.ca_file cannot be used: {error}") from None
    return SmtpCarrier(settings, reactor, trustRootFromCertificates(authorities))
