"""A broker in memory: exchanges, quorum queues, confirms, dead letters, and faults, on a clock.

It passes the suite that RabbitMQ passes (``tests/ganeti/broker/cases.py``). What is confirmed
survives ``stop`` and ``cut``; order within a queue is that of arrival, and what was not
acknowledged comes first again, marked as redelivered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Literal

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from synnefo_tx.ganeti.broker.model import (
    BODY_MAX_BYTES,
    BrokerFailure,
    BrokerLost,
    BrokerRefused,
    Delivery,
    Message,
    Unroutable,
)
from synnefo_tx.ganeti.broker.tables import encode_properties
from synnefo_tx.ganeti.broker.topology import DEAD

FaultKind = Literal["duplicate", "reorder", "lose", "unconfirmed", "cut"]
TRAVEL_SECONDS = 0.001


@define
class BrokerFault:
    """What happens to the next ``times`` messages published with a key that begins with ``key``.

    ``duplicate``: it arrives twice. ``reorder``: it arrives after the next one. ``lose``: it is
    confirmed and lost. ``unconfirmed``: it arrives, but the connection ends before the confirm.
    ``cut``: the connection ends before it arrives.
    """

    kind: FaultKind
    times: int = 1
    key: str = ""


@frozen
class _Stored:
    message: Message
    properties: bytes
    redelivered: bool = False


@define(eq=False)
class _Queue:
    arguments: Mapping[str, Any]
    waiting: deque[_Stored] = field(factory=deque)
    late: list[_Stored] = field(factory=list)


class MemoryBroker:
    """See ``interface.Broker``. ``running`` False refuses connections."""

    def __init__(self, clock: IReactorTime, travel_seconds: float = TRAVEL_SECONDS) -> None:
        self.clock = clock
        self.travel_seconds = travel_seconds
        self.running = True
        self.faults: list[BrokerFault] = []
        self.exchanges: set[str] = set()
        self.queues: dict[str, _Queue] = {}
        self.bindings: set[tuple[str, str, str]] = set()
        self.links: list[MemoryLink] = []

    async def connect(self) -> MemoryLink:
        """A new link; raises BrokerLost while the broker is stopped."""
        await self.turn()
        if not self.running:
            raise BrokerLost("memory: connection refused")
        link = MemoryLink(self)
        self.links.append(link)
        return link

    async def turn(self) -> None:
        """Let a message's time of travel pass."""
        passed: Deferred[None] = Deferred()
        call = self.clock.callLater(self.travel_seconds, lambda: passed.callback(None))
        try:
            await passed
        finally:
            if call.active():
                call.cancel()

    def stop(self) -> None:
        """Stop serving: every link is lost, what is in queues stays."""
        self.running = False
        self.cut("the broker stops")

    def start(self) -> None:
        """Serve again."""
        self.running = True

    def cut(self, why: str = "the connection was cut") -> None:
        """End every link."""
        for link in list(self.links):
            link.end(BrokerLost(f"memory: {why}"))

    def length(self, queue: str) -> int:
        """How many messages wait in a queue, those under way to consumers not counted."""
        return len(self.queues[queue].waiting)

    @property
    def is_idle(self) -> bool:
        """Whether no message waits in a queue but the dead ones, and none is unacknowledged."""
        waits = any(each.waiting for name, each in self.queues.items() if not name.endswith(DEAD))
        return not waits and not any(link.holds for link in self.links)

    def _fault(self, routing_key: str) -> FaultKind | None:
        for fault in self.faults:
            if fault.times > 0 and routing_key.startswith(fault.key):
                fault.times -= 1
                return fault.kind
        return None

    def route(self, exchange: str, routing_key: str) -> list[str]:
        """Queues that take what is published so; the default exchange knows each by its name."""
        if exchange == "":
            return [routing_key] if routing_key in self.queues else []
        return sorted(
            {
                queue
                for queue, source, key in self.bindings
                if source == exchange and matches(key, routing_key)
            }
        )

    def arrive(self, link: MemoryLink, number: int, message: Message) -> None:
        """A message of a link has arrived."""
        fault = self._fault(message.routing_key)
        if fault == "cut":
            link.end(BrokerLost("memory: the connection was cut"))
            return
        if message.exchange not in self.exchanges | {""}:
            link.end(BrokerRefused(f"memory: 404 no exchange {message.exchange}"))
            return
        queues = self.deposit(message, fault)
        if fault == "unconfirmed":
            link.end(BrokerLost("memory: the connection was cut"))
        else:
            failure = None if queues else Unroutable(f"NO_ROUTE: {message.routing_key}")
            self.clock.callLater(self.travel_seconds, link.confirm, number, failure)

    def deposit(self, message: Message, fault: FaultKind | None = None) -> list[str]:
        """Put a message into the queues that take it; which they are."""
        queues = self.route(message.exchange, message.routing_key)
        values = {"headers": message.headers} if message.headers else {}
        stored = _Stored(message, encode_properties(values))
        for name in queues:
            self._store(self.queues[name], stored, fault)
        self.hand_out()
        return queues

    def _store(self, queue: _Queue, stored: _Stored, fault: FaultKind | None) -> None:
        if fault == "reorder":
            queue.late.append(stored)
            return
        if fault != "lose":
            queue.waiting += [stored, stored] if fault == "duplicate" else [stored]
        queue.waiting += queue.late
        queue.late.clear()

    def dead_letter(self, name: str, stored: _Stored, headers: Mapping[str, Any]) -> None:
        """Move a rejected message to where its queue's arguments say, with its death record."""
        exchange = self.queues[name].arguments.get("x-dead-letter-exchange")
        if exchange is None:
            return
        message = stored.message
        deaths = list(headers.get("x-death", []))
        again = [each for each in deaths if each["queue"] == name]
        others = [each for each in deaths if each["queue"] != name]
        count = again[0]["count"] + 1 if again else 1
        death = {
            "count": count, "reason": "rejected", "queue": name, "exchange": message.exchange,
            "routing-keys": [message.routing_key],
        }  # fmt: skip
        values = {**headers, "x-death": [death, *others]}
        dead = _Stored(evolve(message, exchange=exchange), encode_properties({"headers": values}))
        for queue in self.route(exchange, message.routing_key):
            self.queues[queue].waiting.append(dead)

    def hand_out(self) -> None:
        """Deliver to consumers what they have room for, each link in turn."""
        for link in list(self.links):
            link.fill()


class MemoryLink:
    """See ``interface.Link``."""

    peer = "memory"

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._failure: BrokerFailure | None = None
        self._waiting: list[Deferred[BrokerFailure]] = []
        self._unconfirmed: dict[int, Deferred[None]] = {}
        self._published = 0
        self._tag = 0
        self._consumers: dict[str, tuple[int, Callable[[Delivery], None]]] = {}
        self._held: dict[int, tuple[str, _Stored]] = {}

    @property
    def holds(self) -> bool:
        """Whether deliveries are not acknowledged yet."""
        return bool(self._held)

    async def turn(self) -> None:
        """Let a message's time of travel pass; raises what ended this link."""
        await self._broker.turn()
        if self._failure is not None:
            raise self._failure

    def _refuse(self, text: str) -> BrokerRefused:
        refusal = BrokerRefused(f"memory: {text}")
        self.end(refusal)
        return refusal

    async def declare_exchange(self, name: str) -> None:
        await self.turn()
        self._broker.exchanges.add(name)

    async def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> int:
        await self.turn()
        queue = self._broker.queues.setdefault(name, _Queue(dict(arguments)))
        if queue.arguments != dict(arguments):
            raise self._refuse(f"406 inequivalent arguments of queue {name}")
        return len(queue.waiting)

    async def queue_length(self, name: str) -> int:
        await self.turn()
        return len(self._queue(name).waiting)

    def _queue(self, name: str) -> _Queue:
        if name not in self._broker.queues:
            raise self._refuse(f"404 no queue {name}")
        return self._broker.queues[name]

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        await self.turn()
        self._queue(queue)
        if exchange not in self._broker.exchanges:
            raise self._refuse(f"404 no exchange {exchange}")
        self._broker.bindings.add((queue, exchange, routing_key))

    def publish(self, message: Message) -> Deferred[None]:
        if self._failure is not None:
            return fail(self._failure)
        self._published += 1
        confirmed: Deferred[None] = Deferred(lambda d: None)
        self._unconfirmed[self._published] = confirmed
        clock, wait = self._broker.clock, self._broker.travel_seconds
        clock.callLater(wait, self._arrive, self._published, message)
        return confirmed

    def _arrive(self, number: int, message: Message) -> None:
        if self._failure is None:
            self._broker.arrive(self, number, message)

    def confirm(self, number: int, failure: BrokerFailure | None) -> None:
        """The broker has settled a publish."""
        confirmed = self._unconfirmed.pop(number, None)
        if confirmed is None or confirmed.called:
            return
        if failure is None:
            confirmed.callback(None)
        else:
            confirmed.errback(failure)

    async def consume(self, queue: str, prefetch: int, receive: Callable[[Delivery], None]) -> None:
        await self.turn()
        self._queue(queue)
        self._consumers[queue] = (prefetch, receive)
        self.fill()

    def fill(self) -> None:
        """Deliver what waits, as far as this link's consumers have room."""
        for name, (prefetch, receive) in self._consumers.items():
            queue = self._broker.queues[name]
            held = sum(each[0] == name for each in self._held.values())
            while queue.waiting and held < prefetch:
                held += 1
                delivery = self._take(name, queue.waiting.popleft())
                wait = self._broker.travel_seconds
                self._broker.clock.callLater(wait, self.deliver, receive, delivery)

    def deliver(self, receive: Callable[[Delivery], None], delivery: Delivery) -> None:
        """A delivery has arrived at the other end."""
        if self._failure is None:
            receive(delivery)

    def _take(self, name: str, stored: _Stored) -> Delivery:
        self._tag += 1
        self._held[self._tag] = (name, stored)
        message = stored.message
        oversized = len(message.body) > BODY_MAX_BYTES
        return Delivery(
            tag=self._tag,
            queue=name,
            exchange=message.exchange,
            routing_key=message.routing_key,
            body=b"" if oversized else message.body,
            properties=stored.properties,
            redelivered=stored.redelivered,
            oversized=oversized,
        )

    async def get(self, queue: str) -> Delivery | None:
        await self.turn()
        waiting = self._queue(queue).waiting
        return self._take(queue, waiting.popleft()) if waiting else None

    def acknowledge(self, tag: int, *, multiple: bool = False) -> None:
        if self._failure is not None:
            return
        tags = [each for each in self._held if each <= tag] if multiple else [tag]
        if tag not in self._held:
            self._refuse(f"406 unknown delivery tag {tag}")
            return
        for each in tags:
            del self._held[each]
        self.fill()

    def reject(self, tag: int, *, requeue: bool) -> None:
        if self._failure is not None:
            return
        if tag not in self._held:
            self._refuse(f"406 unknown delivery tag {tag}")
            return
        name, stored = self._held.pop(tag)
        if requeue:
            self._broker.queues[name].waiting.appendleft(evolve(stored, redelivered=True))
        else:
            headers = Delivery(0, "", "", "", b"", stored.properties).headers
            self._broker.dead_letter(name, stored, headers)
        self._broker.hand_out()

    async def until_lost(self) -> BrokerFailure:
        if self._failure is not None:
            return self._failure
        waiting: Deferred[BrokerFailure] = Deferred(self._forget)
        self._waiting.append(waiting)
        return await waiting

    def _forget(self, waiting: Deferred[BrokerFailure]) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)

    def end(self, failure: BrokerFailure) -> None:
        """The link is over: what it held goes back into the queues, at their heads."""
        if self._failure is not None:
            return
        self._failure = failure
        self._broker.links.remove(self)
        for name, stored in reversed(list(self._held.values())):
            self._broker.queues[name].waiting.appendleft(evolve(stored, redelivered=True))
        self._held.clear()
        unconfirmed, self._unconfirmed = self._unconfirmed, {}
        for confirmed in unconfirmed.values():
            if not confirmed.called:
                confirmed.errback(failure)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(failure)
        self._broker.hand_out()

    async def close(self) -> None:
        self.end(BrokerLost("memory: closed"))


def matches(pattern: str, routing_key: str) -> bool:
    """Whether a key of a topic exchange matches (AMQP 0-9-1 §3.1.3.3): ``*`` is one word, ``#``
    any number."""
    return _matches(pattern.split("."), routing_key.split("."))


def _matches(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(_matches(pattern[1:], words[at:]) for at in range(len(words) + 1))
    if not words:
        return False
    return pattern[0] in ("*", words[0]) and _matches(pattern[1:], words[1:])
