"""Looking into queues, and another try for dead letters (operations reference §2.5)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen

from synnefo_tx.ganeti.broker.interface import Link
from synnefo_tx.ganeti.broker.model import Delivery, Message
from synnefo_tx.ganeti.broker.tables import BadTable
from synnefo_tx.ganeti.broker.topology import DEAD

RETRIED = "from-dead-letter"
HELD_MAX = 1000
"""Messages that are shown of a queue at most: they are held until the last one is."""


@frozen
class Shown:
    """A message in a queue."""

    position: int
    delivery: Delivery
    headers: Mapping[str, Any]

    @property
    def text(self) -> str:
        """The body: JSON in one line, else as text with what cannot be read marked."""
        if self.delivery.oversized:
            return "(too large to be shown)"
        value = _json(self.delivery.body)
        if value is None:
            return self.delivery.body.decode("utf-8", "replace")
        return json.dumps(value, ensure_ascii=False)


@frozen
class Retried:
    """What became of a dead letter: published again, or dropped and why."""

    queue: str
    routing_key: str
    again: bool
    why: str


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _headers(delivery: Delivery) -> Mapping[str, Any]:
    try:
        return delivery.headers
    except BadTable:
        return {"unreadable": True}


async def look_into(
    link: Link, queue: str, keep: Callable[[Shown], Awaitable[bool]]
) -> AsyncIterator[Shown]:
    """The messages of a queue in their order, HELD_MAX at most.

    Those that are not kept are removed; the others are in their queue again when the link is
    closed. Raises BrokerRefused when there is no such queue, and BrokerLost.
    """
    count = min(await link.queue_length(queue), HELD_MAX)
    for position in range(1, count + 1):
        delivery = await link.get(queue)
        if delivery is None:
            return
        shown = Shown(position, delivery, _headers(delivery))
        yield shown
        if not await keep(shown):
            link.acknowledge(delivery.tag)


async def retry_dead(link: Link, queue: str, *, keep_zombies: bool) -> AsyncIterator[Retried]:
    """Publish the dead letters of a queue again, to where they were published first.

    One that has died again after that is dropped unless ``keep_zombies``; so is one that is not
    JSON or does not say where it comes from. Those that are there at the beginning are looked at.
    """
    for _ in range(await link.queue_length(queue + DEAD)):
        delivery = await link.get(queue + DEAD)
        if delivery is None:
            return
        message, why = _again(delivery, keep_zombies)
        if message is not None:
            # It leaves the dead letters only when it is safe elsewhere.
            await link.publish(message)
        link.acknowledge(delivery.tag)
        key = delivery.routing_key if message is None else message.routing_key
        yield Retried(queue, key, message is not None, why)


def _again(delivery: Delivery, keep_zombies: bool) -> tuple[Message | None, str]:
    headers = _headers(delivery)
    if headers.get(RETRIED) and not keep_zombies:
        return None, "it died again"
    if _json(delivery.body) is None:
        return None, "it is not JSON"
    deaths = headers.get("x-death")
    match deaths:
        case [{"exchange": str(exchange), "routing-keys": [str(key), *_]}, *_]:
            return Message(exchange, key, delivery.body, {RETRIED: True}), "published again"
    return None, "it does not say where it comes from"
