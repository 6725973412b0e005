"""A TLS proxy between the cloud and RAPI that loses what it is told to lose."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions

from synnefo_tx.console.certificate import tls_options

reactor: Any = _reactor
REQUEST_LOST = "request lost"
REPLY_LOST = "reply lost"


class _Upstream(Protocol):
    """The connection to RAPI; keeps the answer until RAPI closes."""

    def __init__(self, request):
        self.request = request
        self.answer = b""
        self.ended = Deferred()

    def connectionMade(self):
        self.transport.write(self.request)

    def dataReceived(self, data):
        self.answer += data

    def connectionLost(self, reason=None):
        self.ended.callback(self.answer)


class _Front(Protocol):
    """One request of the cloud. RAPI closes after each answer, so there is only one."""

    factory: Any
    transport: Any

    def __init__(self):
        self.request = b""
        self.sent = False
        self.is_gone = False

    def connectionLost(self, reason=None):
        self.is_gone = True

    def dataReceived(self, data):
        self.request += data
        if not self.sent and self._is_whole():
            self.sent = True
            Deferred.fromCoroutine(self._pass_on()).addErrback(self._failed)

    def _is_whole(self):
        head, end, body = self.request.partition(b"\r\n\r\n")
        lengths = [
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        ]
        return bool(end) and len(body) >= sum(lengths)

    async def _pass_on(self):
        method, path = self.request.split(b" ", 2)[:2]
        fault = self.factory.fault_of(method + b" " + path.partition(b"?")[0])
        if fault == REQUEST_LOST:
            self.transport.abortConnection()
            return
        upstream = _Upstream(self.request)
        await self.factory.endpoint.connect(Factory.forProtocol(lambda: upstream))
        answer = await upstream.ended
        if self.is_gone:
            return  # who asked was killed meanwhile
        if fault == REPLY_LOST:
            await self.factory.after_acceptance()
            self.transport.abortConnection()
        else:
            self.transport.write(answer)
            self.transport.loseConnection()

    def _failed(self, failure):
        self.factory.failures.append(failure)
        self.transport.abortConnection()


async def _nothing() -> None:
    """Nothing happens between an answer and its loss."""


class CuttingProxy(Factory):
    """Stands before the RAPI at ``host``:``port``, with certificate and key of the file ``pem``.

    ``fault_of`` says what happens to a request, by its method and path: REQUEST_LOST, REPLY_LOST
    or "" for nothing; ``after_acceptance`` is awaited between RAPI's answer and the loss of it.
    """

    protocol = _Front
    noisy = False

    def __init__(
        self,
        host: str,
        port: int,
        pem: Path,
        fault_of: Callable[[bytes], str],
        after_acceptance: Callable[[], Awaitable[object]] = _nothing,
    ):
        self.failures: list[Any] = []
        self.fault_of = fault_of
        self.after_acceptance = after_acceptance
        verified = CertificateOptions(trustRoot=Certificate.loadPEM(pem.read_bytes()))
        self.endpoint = SSL4ClientEndpoint(reactor, host, port, verified)
        self.listening = reactor.listenSSL(0, self, tls_options(pem, pem), interface="127.0.0.1")

    @property
    def port(self) -> int:
        """Where the proxy listens, on this machine."""
        return self.listening.getHost().port
