"""What is said with a broker: messages, deliveries, failures."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import field, frozen

from synnefo_tx.ganeti.broker.tables import decode_properties
from synnefo_tx.units import MIB

BODY_MAX_BYTES = MIB
"""The largest body that is sent or taken."""

NAME_MAX_BYTES = 255
"""The longest name of a queue or exchange, and routing key (AMQP 0-9-1 §4.2.5.3)."""


class BrokerFailure(Exception):
    """Something did not succeed with the broker; the text is for operators."""


class BrokerLost(BrokerFailure):
    """There is no connection, or it was lost: what was under way may have happened or not."""


class BrokerRefused(BrokerFailure):
    """The broker said no: credentials, rights, or a queue that is there with other arguments."""


class Unroutable(BrokerFailure):
    """No queue takes messages with this routing key: the broker gave the message back."""


class NotTaken(BrokerFailure):
    """The broker could not take responsibility for a message, and said so."""


class Outcome(Enum):
    """What became of a message that was taken from a queue."""

    APPLIED = "applied"
    IGNORED = "ignored"
    DEAD = "dead-lettered"
    LATER = "postponed"


@frozen
class Message:
    """A message to publish, kept by the broker on disk. Raises ValueError when it is too large."""

    exchange: str
    routing_key: str
    body: bytes = field(repr=False)
    headers: Mapping[str, Any] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        if len(self.body) > BODY_MAX_BYTES:
            raise ValueError(f"a body of {len(self.body)} bytes: {BODY_MAX_BYTES} at most")
        if max(len(self.exchange.encode()), len(self.routing_key.encode())) > NAME_MAX_BYTES:
            raise ValueError(f"a routing key has {NAME_MAX_BYTES} bytes at most")


@frozen
class Delivery:
    """A message that the broker delivered, to be acknowledged or rejected by its ``tag``.

    ``oversized`` tells that the body was longer than BODY_MAX_BYTES and was not kept.
    ``properties`` are still as on the wire.
    """

    tag: int
    queue: str
    exchange: str
    routing_key: str
    body: bytes = field(repr=False)
    properties: bytes = field(default=b"\0\0", repr=False)
    redelivered: bool = False
    oversized: bool = False

    @property
    def headers(self) -> dict[str, Any]:
        """The headers of the message. Raises BadTable (a ValueError)."""
        return dict(decode_properties(self.properties).get("headers", {}))
