"""Publishes so that nothing is lost: what no broker has confirmed is kept, and sent again."""

from __future__ import annotations

from attrs import define
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from synnefo_tx.ganeti.broker.client import Entropy
from synnefo_tx.ganeti.broker.interface import Broker, Link
from synnefo_tx.ganeti.broker.model import (
    BrokerLost,
    Message,
    NotTaken,
    Unroutable,
)
from synnefo_tx.ganeti.broker.session import Session, pause
from synnefo_tx.ganeti.broker.topology import Topology, declare

UNROUTABLE_TRIES = 5


@define(eq=False)
class _Pending:
    message: Message
    done: Deferred[None]
    returns: int = 0
    again: IDelayedCall | None = None


class Publisher(Service):
    """Publishes to the exchange of a topology, which it declares on every link.

    ``unconfirmed_max`` messages are under way at most; who comes then waits. A message that is
    not confirmed within ``confirm_seconds`` ends the link: another broker may do better. Messages
    may so arrive twice, and in another order.
    """

    log = Logger()

    def __init__(
        self,
        broker: Broker,
        topology: Topology,
        clock: IReactorTime,
        entropy: Entropy,
        *,
        unconfirmed_max: int = 100,
        confirm_seconds: float = 30.0,
    ) -> None:
        self.topology = topology
        self.session = Session("publisher", broker, self._opened, clock, entropy)
        self._clock = clock
        self._confirm_seconds = confirm_seconds
        self._places = DeferredSemaphore(unconfirmed_max)
        # Ordered: after a reconnect they are sent as they came.
        self._pending: dict[int, _Pending] = {}
        self._numbers = 0
        self._link: Link | None = None

    @property
    def unconfirmed(self) -> int:
        """Messages that no broker has confirmed yet."""
        return len(self._pending)

    def startService(self) -> None:
        super().startService()
        self.session.startService()

    async def stopService(self) -> None:
        """Stop; who still waits for a confirmation gets BrokerLost."""
        super().stopService()
        await self.session.stopService()
        for number in list(self._pending):
            self._end(number, BrokerLost("the publisher stops: the message is not confirmed"))

    async def publish(self, routing_key: str, body: bytes) -> None:
        """Publish; returns when a broker has confirmed, however long none is there.

        Who cannot wait so long cancels; the message may have been published all the same. Raises
        ValueError for a body that is too large, Unroutable when five tries found no queue, and
        BrokerLost when the publisher stops.
        """
        message = Message(self.topology.exchange, routing_key, body)
        await self._places.acquire()
        self._numbers += 1
        number = self._numbers
        pending = self._pending[number] = _Pending(message, Deferred())
        try:
            if not self.running:
                raise BrokerLost("the publisher does not run")
            if self._link is not None:
                self._send(self._link, number)
            await pending.done
        finally:
            if pending.again is not None:
                pending.again.cancel()
            self._pending.pop(number, None)
            self._places.release()

    async def _opened(self, link: Link) -> None:
        await declare(link, self.topology)
        self._link = link
        for number in list(self._pending):
            self._send(link, number)

    def _send(self, link: Link, number: int) -> None:
        pending = self._pending[number]
        if pending.again is not None:
            pending.again.cancel()
            pending.again = None
        confirmed = link.publish(pending.message)
        confirmed.addTimeout(self._confirm_seconds, self._clock)
        confirmed.addCallbacks(
            lambda _: self._end(number, None),
            lambda failure: self._not_confirmed(link, number, failure),
        )
        confirmed.addErrback(lambda failure: self.log.failure("a confirm was lost", failure))

    def _not_confirmed(self, link: Link, number: int, failure: Failure) -> None:
        if failure.check(BrokerLost):
            if self._link is link:
                self._link = None
        elif failure.check(Unroutable, NotTaken):
            self._again(link, number, failure)
        elif self._link is link:
            self._link = None
            self.log.error("{broker} does not confirm", broker=link.peer)
            closing = Deferred.fromCoroutine(link.close())
            closing.addErrback(lambda bad: self.log.failure("a link could not be closed", bad))

    def _again(self, link: Link, number: int, failure: Failure) -> None:
        """Try later what the broker gave back."""
        pending = self._pending.get(number)
        if pending is None:
            return
        pending.returns += 1
        if failure.check(Unroutable) and pending.returns >= UNROUTABLE_TRIES:
            self._end(number, failure.value)
            return
        wait = pause(pending.returns, 1.0)
        self.log.warn("{why}: again in {wait} s", why=failure.getErrorMessage(), wait=wait)
        pending.again = self._clock.callLater(wait, self._send_again, number)

    def _send_again(self, number: int) -> None:
        pending = self._pending.get(number)
        if pending is not None:
            pending.again = None
            if self._link is not None:
                self._send(self._link, number)

    def _end(self, number: int, failure: BaseException | None) -> None:
        pending = self._pending.pop(number, None)
        if pending is None or pending.done.called:
            return
        if failure is None:
            pending.done.callback(None)
        else:
            pending.done.errback(failure)
