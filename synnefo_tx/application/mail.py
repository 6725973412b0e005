"""Mails: wired."""

from __future__ import annotations

from synnefo_tx.application.edges import Edges
from synnefo_tx.db.pool import Database
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.mail.operations import Mails
from synnefo_tx.mail.templates import Templates
from synnefo_tx.settings import Settings


def build_mail(settings: Settings, database: Database, keyring: Keyring, edges: Edges) -> Mails:
    """The outbox. Raises SettingsError for templates that are unusable."""
    own = settings.mail
    common = {"service": own.service_name, "url": settings.site_url, "support": own.support}
    templates = Templates(own.template_folder, common)
    return Mails(database, keyring, own, templates, edges.carrier, edges.entropy)
