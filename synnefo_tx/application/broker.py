"""News by message: wired."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.application.compute import ComputeParts
from synnefo_tx.application.edges import Edges
from synnefo_tx.application.ganeti import GanetiParts
from synnefo_tx.compute.servers.progress import ServerProgress
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.broker.consumer import Consumer
from synnefo_tx.ganeti.broker.interface import Broker
from synnefo_tx.ganeti.broker.topology import Topology, prefix_of
from synnefo_tx.ganeti.events import ClusterEvents
from synnefo_tx.ganeti.poller import Poller
from synnefo_tx.ganeti.soon import Soon
from synnefo_tx.settings import Settings

REFRESH_PAUSE_SECONDS = 1.0


@frozen
class BrokerParts:
    """News by message; ``refreshes`` reads the figures of clusters that changed."""

    broker: Broker
    topology: Topology
    consumer: Consumer
    refreshes: Soon


def build_broker(
    settings: Settings,
    database: Database,
    edges: Edges,
    ganeti: GanetiParts,
    compute: ComputeParts,
    poller: Poller,
) -> BrokerParts | None:
    """What takes news from a broker, None without one."""
    if edges.broker is None:
        return None
    own, prefix = settings.broker, settings.compute.backend_prefix_id
    refreshes = Soon("a refresh", ganeti.backends.refresh, edges.clock, REFRESH_PAUSE_SECONDS)
    events = ClusterEvents(
        database,
        ganeti.jobs,
        ServerProgress(database, prefix),
        poller.look_soon,
        refreshes.ask,
        edges.clock,
        prefix,
    )
    topology = Topology(own.exchange, prefix_of(prefix))
    consumer = Consumer(
        edges.broker,
        topology,
        events.apply,
        edges.clock,
        edges.entropy,
        prefetch=own.prefetch,
    )
    return BrokerParts(edges.broker, topology, consumer, refreshes)
