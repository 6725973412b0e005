"""Servers' screens: wired."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.application.edges import Edges
from synnefo_tx.application.ganeti import GanetiParts
from synnefo_tx.application.identity import IdentityParts
from synnefo_tx.compute.servers.consoles import ServerConsoles
from synnefo_tx.compute.servers.operations import Servers
from synnefo_tx.console.places import Places
from synnefo_tx.console.tickets import Tickets
from synnefo_tx.db.pool import Database
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.settings import Settings


@frozen
class ConsoleParts:
    """Servers' screens."""

    tickets: Tickets
    places: Places
    consoles: ServerConsoles


def build_console(
    settings: Settings,
    database: Database,
    keyring: Keyring,
    edges: Edges,
    identity: IdentityParts,
    ganeti: GanetiParts,
    servers: Servers,
) -> ConsoleParts:
    """Tickets to servers' screens, and who looks at them."""
    own = settings.console
    tickets = Tickets(keyring, edges.entropy, own.ticket_seconds)
    places = Places(own.sessions_per_user_max, own.sessions_per_server_max)
    consoles = ServerConsoles(
        database, servers, ganeti.backends, tickets, places, identity.access, edges.clock, settings
    )
    return ConsoleParts(tickets, places, consoles)
