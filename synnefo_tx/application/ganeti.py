"""Clusters and jobs: wired."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.application.edges import Edges
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.backends.operations import Backends
from synnefo_tx.ganeti.jobs.operations import Jobs
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.settings import Settings


@frozen
class GanetiParts:
    """Clusters and jobs."""

    backends: Backends
    jobs: Jobs


def build_ganeti(
    settings: Settings, database: Database, keyring: Keyring, edges: Edges
) -> GanetiParts:
    """Clusters and jobs."""
    backends = Backends(database, keyring, edges.agent_for, edges.clock, settings.ganeti)
    return GanetiParts(backends, Jobs(database, backends, edges.clock, settings.ganeti))
