"""Servers and what they are made of: wired and mounted."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.application.edges import Edges
from synnefo_tx.application.ganeti import GanetiParts
from synnefo_tx.application.identity import IdentityParts
from synnefo_tx.compute.backends.operations import BackendUses
from synnefo_tx.compute.backends.removal import BackendRemoval
from synnefo_tx.compute.flavors.operations import Flavors
from synnefo_tx.compute.flavors.routes import FlavorRoutes
from synnefo_tx.compute.images.operations import Images
from synnefo_tx.compute.images.routes import ImageRoutes
from synnefo_tx.compute.networks.administration import NetworkAdministration
from synnefo_tx.compute.networks.events import NetworkEvents
from synnefo_tx.compute.networks.operations import Networks
from synnefo_tx.compute.networks.routes import NetworkRoutes
from synnefo_tx.compute.pools.operations import Pools
from synnefo_tx.compute.ports.history import AddressHistory
from synnefo_tx.compute.ports.operations import Ports
from synnefo_tx.compute.servers.actions import ServerActions
from synnefo_tx.compute.servers.consoles import ServerConsoles
from synnefo_tx.compute.servers.events import ServerEvents
from synnefo_tx.compute.servers.inspection import ServerInspection
from synnefo_tx.compute.servers.operations import Servers
from synnefo_tx.compute.servers.pages import ServerPages
from synnefo_tx.compute.servers.parameters import ParameterRoutes, Parameters
from synnefo_tx.compute.servers.reconcile import Reconciliation
from synnefo_tx.compute.servers.routes import ServerRoutes
from synnefo_tx.compute.servers.usage import ServerUsage
from synnefo_tx.compute.versions import ComputeVersions, NetworkVersions
from synnefo_tx.db.pool import Database
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.rest.misses import Misses
from synnefo_tx.rest.site import ApiSite
from synnefo_tx.settings import Settings

MISSES_WINDOW_SECONDS = 300.0


@frozen
class ComputeParts:
    """Servers and what they are made of."""

    backends: BackendUses
    backend_removal: BackendRemoval
    flavors: Flavors
    images: Images
    networks: Networks
    network_administration: NetworkAdministration
    pools: Pools
    ports: Ports
    address_history: AddressHistory
    parameters: Parameters
    pages: ServerPages
    servers: Servers
    actions: ServerActions
    events: ServerEvents
    network_events: NetworkEvents
    inspection: ServerInspection
    reconciliation: Reconciliation
    usage: ServerUsage
    misses: Misses


def build_compute(
    settings: Settings,
    database: Database,
    keyring: Keyring,
    edges: Edges,
    identity: IdentityParts,
    ganeti: GanetiParts,
) -> ComputeParts:
    """Servers and what they are made of."""
    own, quota, jobs = settings.compute, identity.quota, ganeti.jobs
    new_id, entropy = edges.new_id, edges.entropy
    images = Images(database, new_id)
    networks = Networks(database, quota, jobs, own, new_id)
    ports = Ports(database, networks, own.nics_per_instance_max)
    parameters = Parameters(database, keyring, own, settings.site_url, entropy)
    pages = ServerPages(database, own, f"{settings.site_url}/compute/v2.0")
    made_of = (images, networks, ports, parameters, pages)
    servers = Servers(database, quota, jobs, *made_of, own, new_id, entropy)
    events = ServerEvents(database, quota, ports, parameters, own.backend_prefix_id)
    return ComputeParts(
        backends=BackendUses(database, ganeti.backends),
        backend_removal=BackendRemoval(database, ganeti.backends, networks, jobs),
        flavors=Flavors(database),
        images=images,
        networks=networks,
        network_administration=NetworkAdministration(database, networks, jobs),
        pools=Pools(database, own),
        ports=ports,
        address_history=AddressHistory(database),
        parameters=parameters,
        pages=pages,
        servers=servers,
        actions=ServerActions(database, servers, quota, jobs, own, new_id),
        events=events,
        network_events=NetworkEvents(database, networks),
        inspection=ServerInspection(database, servers, ganeti.backends, own.backend_prefix_id),
        reconciliation=Reconciliation(database, events, ganeti.backends, own.backend_prefix_id),
        usage=ServerUsage(),
        misses=Misses(database, own.vmapi_misses_max, MISSES_WINDOW_SECONDS),
    )


def mount_compute(
    site: ApiSite, settings: Settings, compute: ComputeParts, consoles: ServerConsoles
) -> None:
    """Serve the endpoints of servers, networks and images."""
    url, own = settings.site_url, settings.compute
    site.mount("/compute", ComputeVersions(url))
    site.mount("/network", NetworkVersions(url))
    base = f"{url}/compute/v2.0"
    site.mount(
        "/compute/v2.0",
        FlavorRoutes(compute.flavors, base),
        ImageRoutes(compute.images, own, base),
        ServerRoutes(compute.servers, compute.pages, compute.actions, consoles, own),
    )
    site.mount(
        "/network/v2.0",
        NetworkRoutes(compute.networks, compute.ports, own, f"{url}/network/v2.0"),
    )
    site.mount("/vmapi/v1.0", ParameterRoutes(compute.parameters, compute.misses))
