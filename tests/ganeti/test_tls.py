"""Verified TLS to a cluster, against a real TLS server on this machine."""

import datetime
from typing import Any

from attrs import evolve
from twisted.internet import reactor as _reactor
from twisted.internet.ssl import Certificate, PrivateCertificate
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from synnefo_tx.ganeti.memory.certificate import self_signed
from synnefo_tx.ganeti.rapi import ClusterEndpoint, RapiRefused, TreqRapi
from synnefo_tx.ganeti.tls import canonical_fingerprint, fetch_fingerprint, tls_agent

reactor: Any = _reactor
NOW = datetime.datetime.now(datetime.UTC)


class _Version(Resource):
    """Answers every path with 2 and counts the requests it saw."""

    isLeaf = True
    requests = 0

    def render(self, request):
        self.requests += 1
        request.setHeader(b"Content-Type", b"application/json")
        return b"2"


class TlsTests(TestCase):
    """Which clusters a call may reach."""

    def setUp(self):
        self.resource = _Version()

    def serve(self, *alternative_names):
        """Listen with a fresh certificate; returns it as PEM text, and an endpoint without pin."""
        files = self_signed(NOW, alternative_names=alternative_names)
        options = PrivateCertificate.loadPEM(files.key_pem + files.certificate_pem).options()
        port = reactor.listenSSL(0, Site(self.resource), options, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        endpoint = ClusterEndpoint("c1", "127.0.0.1", port.getHost().port, "u", "p")
        return files.certificate_pem.decode(), endpoint

    async def version(self, endpoint):
        return await TreqRapi(tls_agent(reactor, endpoint, 2.0), endpoint, reactor).version()

    async def refused(self, endpoint):
        """The call is refused, and the server has seen no request."""
        try:
            await self.version(endpoint)
        except RapiRefused as refusal:
            self.assertEqual(self.resource.requests, 0)
            return str(refusal)
        self.fail("the call went through")

    async def test_pinned_certificate_without_matching_name(self):
        """A cluster with Ganeti's own certificate is reached by its fingerprint."""
        pem, endpoint = self.serve()
        digest = Certificate.loadPEM(pem.encode()).digest("sha256").decode()
        pinned = evolve(endpoint, fingerprint_sha256="sha256:" + digest.replace(":", "").lower())
        self.assertEqual(await self.version(pinned), 2)

    async def test_other_certificate_than_pinned(self):
        """A peer with another certificate gets no request, and no password."""
        _, endpoint = self.serve()
        wrong = "SHA256:" + ":".join(["AB"] * 32)
        text = await self.refused(evolve(endpoint, fingerprint_sha256=wrong))
        self.assertIn("certificate verify failed", text)

    async def test_fetched_fingerprint_pins(self):
        """What is shown to the operator is what a later call accepts."""
        _, endpoint = self.serve()
        seen = await fetch_fingerprint(reactor, endpoint.host, endpoint.port)
        self.assertEqual(self.resource.requests, 0)
        self.assertEqual(await self.version(evolve(endpoint, fingerprint_sha256=seen)), 2)

    async def test_authority_and_host_name(self):
        """With an authority the peer is reached under the name that its certificate bears."""
        pem, endpoint = self.serve("localhost")
        self.assertEqual(await self.version(evolve(endpoint, host="localhost", ca_pem=pem)), 2)

    async def test_authority_but_wrong_host_name(self):
        """With an authority, a certificate for another name is refused."""
        pem, endpoint = self.serve("elsewhere.example")
        await self.refused(evolve(endpoint, host="localhost", ca_pem=pem))

    async def test_other_authority(self):
        """A certificate that the authority did not sign is refused."""
        _, endpoint = self.serve("localhost")
        other = self_signed(NOW, alternative_names=("localhost",)).certificate_pem.decode()
        await self.refused(evolve(endpoint, host="localhost", ca_pem=other))

    async def test_no_tls_at_all(self):
        """A peer that speaks plain HTTP is refused, before it has heard anything of us."""
        port = reactor.listenTCP(0, Site(self.resource), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        endpoint = ClusterEndpoint("c1", "127.0.0.1", port.getHost().port, "u", "p")
        await self.refused(evolve(endpoint, fingerprint_sha256="SHA256:" + ":".join(["AB"] * 32)))

    async def test_nobody_listens(self):
        """No peer: the call is refused at once, and looking at its certificate too."""
        port = reactor.listenTCP(0, Site(self.resource), interface="127.0.0.1")
        number = port.getHost().port
        await port.stopListening()
        looking = fetch_fingerprint(reactor, "127.0.0.1", number)
        with self.assertRaises(RapiRefused):
            await looking
        await self.refused(
            ClusterEndpoint(
                "c1", "127.0.0.1", number, "u", "p", fingerprint_sha256=":".join(["AB"] * 32)
            )
        )

    def test_never_unverified(self):
        """Without authority or fingerprint, with both, or an unreadable one, there is no agent."""
        endpoint = ClusterEndpoint("c1", "127.0.0.1", 1, "u", "p")
        pin = ":".join(["AB"] * 32)
        for broken in (
            endpoint,
            evolve(endpoint, ca_pem="x", fingerprint_sha256=pin),
            evolve(endpoint, ca_pem="no certificate"),
            evolve(endpoint, fingerprint_sha256="AB:CD"),
        ):
            self.assertRaises(ValueError, tls_agent, reactor, broken)


class FingerprintTests(SynchronousTestCase):
    """How fingerprints may be written."""

    def test_spellings(self):
        """Colons, case and prefix do not matter; length and digits do."""
        canonical = "SHA256:" + ":".join(["AB"] * 32)
        for text in (canonical, "ab" * 32, "sha256=" + "ab" * 32, " " + canonical.lower() + "\n"):
            self.assertEqual(canonical_fingerprint(text), canonical)
        for text in ("", "ab" * 31, "ab" * 33, "zz" * 32, "SHA1:" + "ab" * 20):
            self.assertRaises(ValueError, canonical_fingerprint, text)
