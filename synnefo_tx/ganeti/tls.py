"""Verified TLS to a cluster: an authority and a host name, or a pinned certificate.

Ganeti makes itself a certificate for ``ganeti.example.com`` without alternative names, so a
cluster as installed can only be pinned. A request is handed to the connection after the handshake:
until then a failure means for certain that nothing was sent.
"""

from __future__ import annotations

import re
from typing import Any

from OpenSSL import SSL, crypto
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import (
    CertificateOptions,
    optionsForClientTLS,
    trustRootFromCertificates,
)
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.iweb import IAgent, IAgentEndpointFactory
from zope.interface import implementer

from synnefo_tx.authorities import read_authorities
from synnefo_tx.ganeti.model import ClusterEndpoint, RapiRefused

CONNECT_TIMEOUT_SECONDS = 10.0

_FINGERPRINT = re.compile(r"(?:SHA256[:=])?((?:[0-9A-F]{2}:?){31}[0-9A-F]{2})", re.IGNORECASE)


class HandshakeFailed(ConnectError):
    """The peer could not be verified, or does not speak TLS; no request was sent."""

    def __init__(self, text: str) -> None:
        super().__init__(string=text)


def canonical_fingerprint(text: str) -> str:
    """``SHA256:AA:BB:…`` from any usual spelling. Raises ValueError."""
    match = _FINGERPRINT.fullmatch(text.strip())
    if match is None:
        raise ValueError("a fingerprint is SHA256: and 32 hexadecimal bytes")
    digits = match[1].replace(":", "").upper()
    return "SHA256:" + ":".join(digits[at : at + 2] for at in range(0, 64, 2))


def certificate_fingerprint(certificate: crypto.X509) -> str:
    """The certificate's SHA-256 fingerprint, as ``canonical_fingerprint`` spells it."""
    return canonical_fingerprint(certificate.digest("sha256").decode("ascii"))


@implementer(IOpenSSLClientConnectionCreator)
class _Pinned:
    """TLS that accepts one certificate, known by its fingerprint; names and dates don't count."""

    def __init__(self, fingerprint: str) -> None:
        self._fingerprint = canonical_fingerprint(fingerprint)
        self._context = CertificateOptions().getContext()
        self._context.set_verify(SSL.VERIFY_PEER, self._verify)

    def _verify(
        self, connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, ok: int
    ) -> bool:
        # Depth 0 is the peer's own certificate; OpenSSL always asks about it.
        return depth > 0 or certificate_fingerprint(certificate) == self._fingerprint

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context, None)


@implementer(IOpenSSLClientConnectionCreator)
class _Unverified:
    """TLS to look at a certificate. Used by ``fetch_fingerprint`` only, which sends nothing."""

    def __init__(self) -> None:
        self._context = CertificateOptions().getContext()

    def clientConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        return SSL.Connection(self._context, None)


def _verification(endpoint: ClusterEndpoint) -> IOpenSSLClientConnectionCreator:
    if (endpoint.ca_pem is None) == (endpoint.fingerprint_sha256 is None):
        raise ValueError(f"cluster {endpoint.name} needs either an authority or a fingerprint")
    if endpoint.fingerprint_sha256 is not None:
        return _Pinned(endpoint.fingerprint_sha256)
    authorities = trustRootFromCertificates(read_authorities(endpoint.ca_pem or ""))
    return optionsForClientTLS(endpoint.host, trustRoot=authorities)


@implementer(IHandshakeListener)
class _UntilHandshake(ProtocolWrapper):
    """Tells when the handshake is over, well or badly."""

    factory: _HandshakeFactory

    def handshakeCompleted(self) -> None:
        if not self.factory.completed.called:
            self.factory.completed.callback(self)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        if not self.factory.completed.called:
            self.factory.completed.errback(HandshakeFailed(_explained(reason)))


def _explained(reason: Failure) -> str:
    return f"TLS: {reason.value!r}" if reason.check(SSL.Error) else f"TLS: {reason.value}"


class _HandshakeFactory(WrappingFactory):
    protocol = _UntilHandshake

    noisy = False

    def __init__(self, wrapped: IProtocolFactory) -> None:
        super().__init__(wrapped)
        self.completed: Deferred[_UntilHandshake] = Deferred()


@implementer(IStreamClientEndpoint)
class VerifiedEndpoint:
    """Connects by TLS; the connection is there when the peer has been verified."""

    def __init__(
        self,
        reactor: IReactorTime,
        address: tuple[str, int],
        verification: IOpenSSLClientConnectionCreator,
        timeout_seconds: float,
    ) -> None:
        host, port = address
        self._tcp = HostnameEndpoint(reactor, host.encode(), port, timeout=timeout_seconds)
        self._reactor = reactor
        self._verification = verification
        self._timeout_seconds = timeout_seconds

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> Any:
        waiting = _HandshakeFactory(factory)
        tls: Any = await self._tcp.connect(TLSMemoryBIOFactory(self._verification, True, waiting))
        try:
            wrapper = await waiting.completed.addTimeout(self._timeout_seconds, self._reactor)
        except defer.TimeoutError as silent:
            tls.abortConnection()
            raise HandshakeFailed(f"no TLS within {self._timeout_seconds} s") from silent
        except BaseException:
            tls.abortConnection()
            raise
        return wrapper.wrappedProtocol


@implementer(IAgentEndpointFactory)
class _ToCluster:
    def __init__(self, endpoint: IStreamClientEndpoint) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return self._endpoint


def tls_agent(
    reactor: IReactorTime,
    endpoint: ClusterEndpoint,
    timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
) -> IAgent:
    """An agent that talks to this cluster and no other, over verified TLS.

    ``timeout_seconds`` is for the connection and for the handshake, each. Raises ValueError
    unless exactly one of authority and fingerprint is given and readable.
    """
    address = (endpoint.host, endpoint.port)
    verified = VerifiedEndpoint(reactor, address, _verification(endpoint), timeout_seconds)
    pool = HTTPConnectionPool(reactor, persistent=False)
    pool.retryAutomatically = False
    return Agent.usingEndpointFactory(reactor, _ToCluster(verified), pool=pool)


async def fetch_fingerprint(reactor: IReactorTime, host: str, port: int) -> str:
    """The fingerprint of the certificate that the peer shows now, for an operator to judge.

    Sends no request. Raises RapiRefused when there is no peer, or it does not speak TLS.
    """
    looking = VerifiedEndpoint(reactor, (host, port), _Unverified(), CONNECT_TIMEOUT_SECONDS)
    try:
        protocol = await looking.connect(Factory.forProtocol(Protocol))
    except (ConnectError, DNSLookupError) as failed:
        raise RapiRefused(f"cannot look at {host}:{port}: {failed}") from failed
    certificate = protocol.transport.getPeerCertificate()
    protocol.transport.abortConnection()
    return certificate_fingerprint(certificate)
