"""Stored secrets: all columns of them, and what gives them a new key."""

from __future__ import annotations

from synnefo_tx.application.edges import Edges
from synnefo_tx.compute.servers import parameters
from synnefo_tx.console import tickets
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.backends import operations as backends
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.rotation import Rotation
from synnefo_tx.mail import operations as mails
from synnefo_tx.rest import kept

SEALED = (backends.SEALED, kept.SEALED, mails.SEALED, parameters.SEALED, tickets.SEALED)
"""Every column that holds sealed values; a test compares it with the schema."""


def build_rotation(database: Database, keyring: Keyring, edges: Edges) -> Rotation:
    """Let the keyring hear of new keys, and wire what makes them."""
    keyring.hear(edges.hearing)
    return Rotation(database, keyring, SEALED, edges.clock)
