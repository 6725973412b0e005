"""The journal: wired and mounted."""

from __future__ import annotations

from synnefo_tx.db.pool import Database
from synnefo_tx.journal.operations import Journal
from synnefo_tx.journal.routes import ActivityRoutes
from synnefo_tx.rest.site import ApiSite
from synnefo_tx.settings import Settings


def build_journal(settings: Settings, database: Database) -> Journal:
    """The journal."""
    return Journal(database, settings.journal)


def mount_journal(site: ApiSite, journal: Journal) -> None:
    """Serve what users see of it."""
    site.mount("/ui", ActivityRoutes(journal))
