"""The site that all endpoints are mounted on, and what it keeps: wired."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.application.edges import Edges
from synnefo_tx.db.pool import Database
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.rest.kept import KeptReplies
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.rest.rates import RateLimits
from synnefo_tx.rest.site import ApiSite
from synnefo_tx.rest.ways import Authenticators
from synnefo_tx.settings import Settings

HOUR_SECONDS = 3600.0


@frozen
class DoorParts:
    """The site, and replies to requests that may be repeated."""

    site: ApiSite
    kept: KeptReplies


def build_doors(
    settings: Settings,
    database: Database,
    keyring: Keyring,
    edges: Edges,
    metrics: Metrics,
    authenticators: Authenticators,
) -> DoorParts:
    """The site, with nothing mounted."""
    own = settings.http
    kept = KeptReplies(database, keyring, edges.clock, own.idempotency_hours * HOUR_SECONDS)
    rates = RateLimits(settings.rates, edges.clock, metrics)
    site = ApiSite(own, authenticators, edges.clock, metrics, edges.new_id, kept, rates)
    return DoorParts(site, kept)
