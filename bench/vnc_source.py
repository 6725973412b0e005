"""A hypervisor's VNC server that sends what it is asked for: ``python -m bench.vnc_source PORT``.

After the RFB opening (3.8, no authentication) the client sends orders, two numbers of 32 bits: how
many KiB it wants, and how many of them a second, 0 for as fast as they are read.
"""

import sys

from twisted.internet import reactor
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from bench.console_client import CLIENT_PART, GREETING, ORDER, SERVER_INIT

KIB = 1024
PIECE_KIB = 64
UPDATES_PER_SECOND = 10
PIXELS = bytes(range(256)) * (PIECE_KIB * KIB // 256)


@implementer(IPullProducer)
class Screen(Protocol):
    """One connection, with at most one order at a time."""

    def connectionMade(self):
        self.transport.setTcpNoDelay(True)
        self.transport.write(GREETING)
        self.received = b""
        self.is_open = False
        self.left_kib = 0
        self.updating = None

    def dataReceived(self, data):
        self.received += data
        if not self.is_open and len(self.received) >= len(CLIENT_PART):
            self.received = self.received[len(CLIENT_PART) :]
            self.is_open = True
            self.transport.write(SERVER_INIT)
        while self.is_open and len(self.received) >= ORDER.size:
            self.begin(*ORDER.unpack(self.received[: ORDER.size]))
            self.received = self.received[ORDER.size :]

    def begin(self, kib, kib_per_second):
        """Carry out an order."""
        self.left_kib = kib
        if kib_per_second == 0:
            self.transport.registerProducer(self, False)
            return
        self.updating = LoopingCall(self.update, kib_per_second // UPDATES_PER_SECOND)
        self.updating.start(1 / UPDATES_PER_SECOND)

    def update(self, piece_kib):
        """Paced: one update of the picture."""
        if self.send(piece_kib):
            self.updating.stop()

    def resumeProducing(self):
        """Unpaced: all before was taken."""
        if self.send(PIECE_KIB):
            self.transport.unregisterProducer()

    def send(self, piece_kib):
        """Send a piece, or what is left; whether that was all."""
        piece_kib = min(piece_kib, self.left_kib)
        self.left_kib -= piece_kib
        self.transport.write(PIXELS[: piece_kib * KIB])
        return self.left_kib == 0

    def stopProducing(self):
        """The connection is gone; there is nothing to let go."""

    def connectionLost(self, reason):
        if self.updating is not None and self.updating.running:
            self.updating.stop()


if __name__ == "__main__":
    factory = Factory.forProtocol(Screen)
    factory.noisy = False
    reactor.listenTCP(int(sys.argv[1]), factory, interface="127.0.0.1", backlog=256)
    reactor.run()
