"""Stored secrets: all columns of them, and what gives them a new key."""

from __future__ import annotations

import shlex

from synnefo_tx.application.edges import Edges
from synnefo_tx.compute.servers import parameters
from synnefo_tx.console import tickets
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.backends import operations as backends
from synnefo_tx.keyring.model import KeyringError
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.rotation import Rotation, sealed_somewhere
from synnefo_tx.keyring.source import source_of
from synnefo_tx.mail import operations as mails
from synnefo_tx.rest import kept
from synnefo_tx.settings import Settings
from synnefo_tx.threads import Threads

SEALED = (backends.SEALED, kept.SEALED, mails.SEALED, parameters.SEALED, tickets.SEALED)
"""Every column that holds sealed values; a test compares it with the schema."""


async def open_keyring(
    settings: Settings, database: Database, threads: Threads, *, is_child: bool = False
) -> Keyring:
    """The keys that the settings lead to, read once; raises KeyringError.

    The first is made at a start that finds none, but by no child: when its supervisor started there
    was one. Nor where something is sealed already: the folder was moved or is not mounted, or this
    is another host, and what a new key seals nobody would open when the old one is back.
    """
    source = source_of(settings, threads.run)
    if not is_child and await source.is_new():
        if place := await sealed_somewhere(database, SEALED):
            folder = settings.home / "keys"
            at = shlex.quote(str(folder))
            raise KeyringError(
                f"{place} in the database holds sealed secrets and {folder} holds no key: put that "
                "folder there as it was, from a backup or another host. If it is lost for good: "
                f"(umask 77; mkdir -p {at}; head -c 32 /dev/urandom > {at}/database.1.key)"
            )
        await source.begin()
    keyring = Keyring(source)
    await keyring.load()
    return keyring


def build_rotation(database: Database, keyring: Keyring, edges: Edges) -> Rotation:
    """Let the keyring hear of new keys, and wire what makes them."""
    keyring.hear(edges.hearing)
    return Rotation(database, keyring, SEALED, edges.clock)
