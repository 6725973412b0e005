"""What a broker and a connection to it can do, whether over AMQP or in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from synnefo_tx.ganeti.broker.model import BrokerFailure, Delivery, Message


class Link(Protocol):
    """One connection to one broker. After a failure of ``declare_*``, ``bind``, ``consume`` or
    ``get`` it is lost. All of them raise BrokerLost or BrokerRefused."""

    @property
    def peer(self) -> str:
        """The broker's address, for logs."""

    async def declare_exchange(self, name: str) -> None:
        """Make a durable topic exchange, unless it is there."""

    async def declare_queue(self, name: str, arguments: Mapping[str, Any]) -> int:
        """Make a durable queue, unless it is there; how many messages wait in it."""

    async def queue_length(self, name: str) -> int:
        """How many messages wait in a queue; BrokerRefused when it is not there."""

    async def bind(self, queue: str, exchange: str, routing_key: str) -> None:
        """Bring what is published with this key to the queue."""

    def publish(self, message: Message) -> Deferred[None]:
        """Publish; fires when the broker has confirmed.

        Fails with BrokerLost, Unroutable or NotTaken.
        """

    async def consume(self, queue: str, prefetch: int, receive: Callable[[Delivery], None]) -> None:
        """Have a queue's messages delivered, at most ``prefetch`` unacknowledged ones."""

    async def get(self, queue: str) -> Delivery | None:
        """Take the next message of a queue, None if it is empty."""

    def acknowledge(self, tag: int, *, multiple: bool = False) -> None:
        """A delivery is done with; with ``multiple`` all before it too. Does nothing when lost."""

    def reject(self, tag: int, *, requeue: bool) -> None:
        """A delivery is not wanted: back into its queue, or to the dead letters."""

    async def until_lost(self) -> BrokerFailure:
        """Wait for the end of this connection, for whatever reason."""

    async def close(self) -> None:
        """End the connection in good order, or after a limit without."""


class Broker(Protocol):
    """Where to find a broker, or several that stand for each other."""

    async def connect(self) -> Link:
        """Connect to the next one; raises BrokerLost or BrokerRefused."""
