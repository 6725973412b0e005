"""Back pressure between two connections."""

from __future__ import annotations

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer


@implementer(IPushProducer)
class Valve:
    """Registered as producer with a transport that is written to; holds another that is read.

    Two transports must not be each other's producer directly: the loss of one would cut the
    other without a word (``stopProducing``), before the reason could be given.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._source: IPushProducer | None = None

    def attach(self, source: IPushProducer) -> None:
        """From now on hold ``source`` while the written side is full."""
        self._source = source
        if self.is_closed:
            source.pauseProducing()

    def detach(self) -> None:
        """Let the source go, flowing."""
        source, self._source = self._source, None
        if source is not None and self.is_closed:
            source.resumeProducing()

    def pauseProducing(self) -> None:
        self.is_closed = True
        if self._source is not None:
            self._source.pauseProducing()

    def resumeProducing(self) -> None:
        self.is_closed = False
        if self._source is not None:
            self._source.resumeProducing()

    def stopProducing(self) -> None:
        self.detach()
