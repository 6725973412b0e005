"""The stream of changes: wired and mounted."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.application.compute import ComputeParts
from synnefo_tx.application.edges import Edges
from synnefo_tx.application.identity import IdentityParts
from synnefo_tx.changes.epochs import Epochs
from synnefo_tx.changes.feed import Feed
from synnefo_tx.changes.figures import StreamFigures
from synnefo_tx.changes.model import Kind
from synnefo_tx.changes.operations import Streams
from synnefo_tx.changes.routes import EventRoutes
from synnefo_tx.changes.sequencer import Announcer, Demand, Sequencer
from synnefo_tx.compute.images.kind import ImageKind
from synnefo_tx.compute.networks.kind import NetworkKind
from synnefo_tx.compute.ports.kind import PortKind
from synnefo_tx.compute.servers.kind import ServerKind
from synnefo_tx.db.pool import Database
from synnefo_tx.identity.quota.kind import QuotaKind
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.rest.site import ApiSite
from synnefo_tx.settings import Settings


@frozen
class ChangeParts:
    """Who numbers changes, who says that there are some, who follows them, and the epochs of
    numbers."""

    sequencer: Sequencer
    announcer: Announcer
    streams: Streams
    epochs: Epochs


def build_changes(
    settings: Settings,
    database: Database,
    edges: Edges,
    metrics: Metrics,
    identity: IdentityParts,
    compute: ComputeParts,
) -> ChangeParts:
    """The stream of changes, with the kinds of all components."""
    base, network_base = f"{settings.site_url}/compute/v2.0", f"{settings.site_url}/network/v2.0"
    kinds: list[Kind] = [
        ServerKind(compute.pages),
        NetworkKind(database, network_base),
        PortKind(database, network_base),
        ImageKind(database, base),
        QuotaKind(identity.quota),
    ]
    figures = StreamFigures(metrics)
    demand = Demand(edges.hearing, edges.clock)
    feed = Feed(database, kinds, edges.hearing, edges.clock, figures)
    epochs = Epochs(database)
    return ChangeParts(
        sequencer=Sequencer(database, edges.hearing, edges.clock, edges.electorate, demand, epochs),
        announcer=Announcer(database, edges.clock, demand),
        streams=Streams(feed, identity.access, settings.changes, figures, edges.clock),
        epochs=epochs,
    )


def mount_changes(site: ApiSite, changes: ChangeParts) -> None:
    """Serve the stream."""
    site.mount("/events", EventRoutes(changes.streams))
