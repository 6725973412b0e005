"""A TLS proxy between the cloud and RAPI that loses what it is told to lose."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions

from synnefo_tx.console.certificate import tls_options
from tests.acceptance.clusters import RealCluster

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
        if fault == REPLY_LOST:
            await self.factory.after_acceptance()
            self.transport.abortConnection()
        else:
            self.transport.write(answer)
            self.transport.loseConnection()

    def _failed(self, failure):
        self.factory.failures.append(failure)
        self.transport.abortConnection()


class CuttingProxy(Factory):
    """Stands before one cluster, with the cluster's own certificate.

    ``faults`` are used up in order by creations of instances; ``after_acceptance`` is awaited
    between RAPI's answer and the loss of it.
    """

    protocol = _Front
    noisy = False

    def __init__(self, cluster: RealCluster, after_acceptance: Callable[[], Awaitable[object]]):
        self.faults: list[str] = []
        self.used: list[str] = []
        self.failures: list[Any] = []
        self.after_acceptance = after_acceptance
        pem = Path(cluster.state) / "lib" / "rapi.pem"
        root = Certificate.loadPEM(pem.read_bytes())
        verified = CertificateOptions(trustRoot=root)
        self.endpoint = SSL4ClientEndpoint(reactor, cluster.host, cluster.port, verified)
        self.port = reactor.listenSSL(0, self, tls_options(pem, pem), interface="127.0.0.1")
        self.place = evolve(cluster, port=self.port.getHost().port)

    def fault_of(self, target: bytes) -> str:
        """What happens to a request with this method and path."""
        if not self.faults or target != b"POST /2/instances":
            return ""
        self.used.append(self.faults.pop(0))
        return self.used[-1]
