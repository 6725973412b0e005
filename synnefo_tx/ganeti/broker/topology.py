"""Exchanges, queues and routing keys (ganeti-backend reference §6)."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from synnefo_tx.ganeti.broker.interface import Link

DEAD = "-dl"


@frozen
class Topology:
    """Names made of the exchange and the prefix ``p``: what stands before the first dash of the
    names of instances."""

    exchange: str = "ganeti"
    prefix: str = "snf"

    @property
    def dead_exchange(self) -> str:
        """Where messages go that were rejected."""
        return self.exchange + DEAD

    @property
    def keys(self) -> Mapping[str, str]:
        """Routing keys by queue."""
        p = self.prefix
        return {
            f"{p}-events-op": f"ganeti.{p}.event.op",
            f"{p}-events-network": f"ganeti.{p}.event.network",
            f"{p}-events-progress": f"ganeti.{p}.event.progress",
            f"{p}-events-cluster": "ganeti.event.cluster",
        }

    @property
    def arguments(self) -> Mapping[str, str]:
        """Arguments of a queue with dead letters.

        ``at-least-once`` keeps a rejected message until the dead letters have it; it needs
        ``reject-publish``, which without a bound on the length never happens.
        """
        return {
            "x-queue-type": "quorum",
            "x-dead-letter-exchange": self.dead_exchange,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        }


def prefix_of(name: str) -> str:
    """``p`` of the name of an instance, network, or of all (``snf-``): the text before its first
    dash."""
    return name.partition("-")[0]


async def declare(link: Link, topology: Topology) -> None:
    """Make everything that is not there yet. Raises BrokerLost or BrokerRefused."""
    await link.declare_exchange(topology.exchange)
    await link.declare_exchange(topology.dead_exchange)
    for queue, key in topology.keys.items():
        await link.declare_queue(queue + DEAD, {"x-queue-type": "quorum"})
        await link.bind(queue + DEAD, topology.dead_exchange, key)
        await link.declare_queue(queue, topology.arguments)
        await link.bind(queue, topology.exchange, key)
