"""One connection to a broker with one channel, in confirm mode: ``Link`` over AMQP."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, TimeoutError, fail
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from txamqp.client import Closed
from txamqp.queue import Closed as QueueClosed

from synnefo_tx.ganeti.broker import frames
from synnefo_tx.ganeti.broker.frames import Content
from synnefo_tx.ganeti.broker.model import (
    BrokerFailure,
    BrokerLost,
    BrokerRefused,
    Delivery,
    Message,
    NotTaken,
    Unroutable,
)
from synnefo_tx.ganeti.broker.protocol import AmqpProtocol
from synnefo_tx.ganeti.broker.tables import (
    BadTable,
    decode_properties,
    encode_properties,
    encode_table,
)

PERSISTENT = 2
GOOD_BYE = 200


@frozen
class LinkLimits:
    """Seconds: for a connection with handshake and log-in, for one answer, between heartbeats."""

    connect_seconds: float = 10.0
    answer_seconds: float = 30.0
    close_seconds: float = 2.0
    heartbeat_seconds: int = 20


class AmqpLink:
    """See ``Link``. Made by ``open_link``, of a protocol that is connected."""

    log = Logger()

    def __init__(
        self, protocol: AmqpProtocol, peer: str, limits: LinkLimits, clock: IReactorTime
    ) -> None:
        self._protocol = protocol
        self._peer = peer
        self._limits = limits
        self._clock = clock
        self._channel: Any = None
        self._last_tag = 0
        self._unconfirmed: dict[int, Deferred[None]] = {}
        self._returned: dict[int, str] = {}
        self._receivers: dict[str, Callable[[Delivery], None]] = {}
        self._getting: deque[tuple[str, Deferred[Delivery | None]]] = deque()
        self._waiting: list[Deferred[BrokerFailure]] = []

    @property
    def peer(self) -> str:
        return self._peer

    async def open(self) -> None:
        """Log in and open the channel. Raises BrokerLost or BrokerRefused."""
        self._protocol.listener = self
        await self._answer("log-in", self._protocol.started.wait())
        nought = await self._protocol.channel(0)
        vhost = self._protocol.login.vhost.encode()
        await self._answer("connection.open", nought.connection_open(vhost))
        self._channel = await self._protocol.channel(frames.CHANNEL)
        await self._call("channel_open")
        await self._call("confirm_select")

    async def _call(self, method: str, *arguments: Any) -> Any:
        if self._protocol.over or self._protocol.closed:
            raise self._failure()
        return await self._answer(method, getattr(self._channel, method)(*arguments))

    async def _answer(self, what: str, answer: Deferred[Any]) -> Any:
        """What the broker answers. Without an answer the channel is out of step: it ends."""
        try:
            return await answer.addTimeout(self._limits.answer_seconds, self._clock)
        except (Closed, QueueClosed):
            self._protocol.fail("the connection was closed")
            raise self._failure() from None
        except TimeoutError:
            self._protocol.fail(f"no answer to {what}")
            raise self._failure() from None
        except BaseException:
            self._protocol.fail(f"{what} was given up")
            raise

    def _failure(self) -> BrokerFailure:
        kind = BrokerRefused if self._protocol.refused else BrokerLost
        return kind(f"{self._peer}: {self._protocol.why or 'the connection is closed'}")

    async def declare_exchange(self, name: str) -> None:
        await self._call(
            "exchange_declare", 0, name, "topic", False, True, False, False, False, b""
        )

    async def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> int:
        table = encode_table(arguments)
        flags = (False, True, False, False, False)
        answer = await self._call("queue_declare", 0, name, *flags, table)
        return int(answer.message_count)

    async def queue_length(self, name: str) -> int:
        answer = await self._call("queue_declare", 0, name, True, True, False, False, False, b"")
        return int(answer.message_count)

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        await self._call("queue_bind", 0, queue, exchange, routing_key, False, b"")

    def publish(self, message: Message) -> Deferred[None]:
        if self._protocol.over or self._protocol.closed:
            return fail(self._failure())
        self._last_tag += 1
        values: dict[str, Any] = {
            "content_type": "application/json",
            "delivery_mode": PERSISTENT,
            # A return bears no tag, but the message's own properties.
            "message_id": str(self._last_tag),
        }
        if message.headers:
            values["headers"] = message.headers
        properties = encode_properties(values)
        confirmed: Deferred[None] = Deferred(lambda d: None)
        self._unconfirmed[self._last_tag] = confirmed
        self._protocol.write(
            frames.publish(
                message.exchange,
                message.routing_key,
                message.body,
                properties,
                self._protocol.frame_max,
            )
        )
        return confirmed

    async def consume(self, queue: str, prefetch: int, receive: Callable[[Delivery], None]) -> None:
        self._receivers[queue] = receive
        await self._call("basic_qos", 0, prefetch, False)
        # The consumer's tag is the queue's name: a delivery tells where it comes from.
        await self._call("basic_consume", 0, queue, queue, False, False, False, False, b"")

    async def get(self, queue: str) -> Delivery | None:
        if self._protocol.over or self._protocol.closed:
            raise self._failure()
        answer: Deferred[Delivery | None] = Deferred(lambda d: None)
        self._getting.append((queue, answer))
        self._protocol.write(frames.get(queue))
        found: Delivery | None = await self._answer("basic.get", answer)
        return found

    def acknowledge(self, tag: int, *, multiple: bool = False) -> None:
        if not self._protocol.over:
            self._protocol.write(frames.acknowledge(tag, multiple))

    def reject(self, tag: int, *, requeue: bool) -> None:
        if not self._protocol.over:
            self._protocol.write(frames.reject(tag, requeue))

    async def until_lost(self) -> BrokerFailure:
        if self._protocol.over:
            return self._failure()
        waiting: Deferred[BrokerFailure] = Deferred(self._forget)
        self._waiting.append(waiting)
        return await waiting

    def _forget(self, waiting: Deferred[BrokerFailure]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    async def close(self) -> None:
        if self._protocol.over:
            return
        if not self._protocol.closed:
            nought = await self._protocol.channel(0)
            closing = nought.connection_close(GOOD_BYE, "good bye", 0, 0)
            try:
                await closing.addTimeout(self._limits.close_seconds, self._clock)
            except (Closed, QueueClosed, TimeoutError) as silent:
                self.log.debug("{peer} did not say good bye: {why!r}", peer=self._peer, why=silent)
        self._protocol.fail("closed")

    # What the protocol tells: see ``protocol.Listener``.

    def content(self, content: Content, properties: bytes, body: bytes | None) -> None:
        if content.method == frames.RETURN:
            self._give_back(content, properties)
        elif content.method == frames.GET_OK:
            self._got(content, properties, body)
        elif content.name in self._receivers:
            delivery = _delivery(content.name, content, properties, body)
            try:
                self._receivers[content.name](delivery)
            except Exception:
                self.log.failure("a delivery could not be taken")
                self._protocol.fail("a delivery could not be taken")

    def _give_back(self, content: Content, properties: bytes) -> None:
        try:
            tag = int(decode_properties(properties)["message_id"])
        except (BadTable, KeyError, ValueError):
            self._protocol.fail("the broker returned what was not sent")
        else:
            self._returned[tag] = f"{content.text}: {content.exchange}/{content.routing_key}"

    def _got(self, content: Content, properties: bytes, body: bytes | None) -> None:
        if not self._getting:
            self._protocol.fail("a message that nobody asked for")
            return
        queue, waiting = self._getting.popleft()
        _fire(waiting, _delivery(queue, content, properties, body))

    def nothing(self) -> None:
        if self._getting:
            _fire(self._getting.popleft()[1], None)

    def settled(self, tag: int, multiple: bool, taken: bool) -> None:
        if multiple:
            # A dict keeps the order of insertion, and tags rise.
            tags = []
            for each in self._unconfirmed:
                if each > tag:
                    break
                tags.append(each)
        else:
            tags = [tag]
        for each in tags:
            self._settle(each, taken)

    def _settle(self, tag: int, taken: bool) -> None:
        confirmed = self._unconfirmed.pop(tag, None)
        returned = self._returned.pop(tag, None)
        if confirmed is None or confirmed.called:
            return
        if not taken:
            confirmed.errback(NotTaken("the broker did not take the message"))
        elif returned is not None:
            confirmed.errback(Unroutable(returned))
        else:
            confirmed.callback(None)

    def lost(self) -> None:
        failure = self._failure()
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for confirmed in unconfirmed.values():
            if not confirmed.called:
                confirmed.errback(failure)
        while self._getting:
            answer = self._getting.popleft()[1]
            if not answer.called:
                answer.errback(failure)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(failure)


def _fire(waiting: Deferred[Delivery | None], delivery: Delivery | None) -> None:
    if not waiting.called:
        waiting.callback(delivery)


def _delivery(queue: str, content: Content, properties: bytes, body: bytes | None) -> Delivery:
    return Delivery(
        tag=content.tag,
        queue=queue,
        exchange=content.exchange,
        routing_key=content.routing_key,
        body=body or b"",
        properties=properties,
        redelivered=content.redelivered,
        oversized=body is None,
    )
