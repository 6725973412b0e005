"""A plain copy from TLS to TCP: what Twisted alone costs.

Run as ``python -m bench.peers.tls_copy PORT SCREEN_PORT CERTIFICATE KEY``.
"""

import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.protocols.portforward import ProxyFactory

from synnefo_tx.console.certificate import tls_options

port, screen_port, certificate, key = sys.argv[1:]
factory = ProxyFactory("127.0.0.1", int(screen_port))
factory.noisy = False
reactor.listenSSL(
    int(port), factory, tls_options(Path(certificate), Path(key)), interface="127.0.0.1"
)
reactor.run()
