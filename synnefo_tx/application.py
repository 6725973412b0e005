"""Builds every object of a process from its settings: the only module that knows them all.

One function per component. What touches the world outside (time, randomness, other hosts, threads)
comes in as ``Edges``, so that a simulator can give its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from attrs import Factory, frozen
from twisted.internet.interfaces import IReactorTime

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
from synnefo_tx.compute.servers.progress import ServerProgress
from synnefo_tx.compute.servers.reconcile import Reconciliation
from synnefo_tx.compute.servers.routes import ServerRoutes
from synnefo_tx.compute.servers.usage import ServerUsage
from synnefo_tx.compute.versions import ComputeVersions, NetworkVersions
from synnefo_tx.console.places import Places
from synnefo_tx.console.tickets import Tickets
from synnefo_tx.db.electorate import Electorate, Unopposed
from synnefo_tx.db.listener import Deaf, Hearing
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.backends.operations import AgentFor, Backends
from synnefo_tx.ganeti.broker.consumer import Consumer
from synnefo_tx.ganeti.broker.interface import Broker
from synnefo_tx.ganeti.broker.topology import Topology, prefix_of
from synnefo_tx.ganeti.events import ClusterEvents
from synnefo_tx.ganeti.jobs.operations import Jobs
from synnefo_tx.ganeti.jobs.waiting import JobWaiting
from synnefo_tx.ganeti.poller import CHANNEL, Poller
from synnefo_tx.ganeti.soon import Soon
from synnefo_tx.identity.access.cache import AccessCache
from synnefo_tx.identity.access.changes import AccessChanges
from synnefo_tx.identity.catalog.model import Catalog
from synnefo_tx.identity.projects.operations import Projects
from synnefo_tx.identity.quota.operations import Quota
from synnefo_tx.identity.quota.resources import Resources
from synnefo_tx.identity.quota.routes import AccountRoutes
from synnefo_tx.identity.tokens.failures import LoginFailures
from synnefo_tx.identity.tokens.logins import Logins
from synnefo_tx.identity.tokens.operations import Tokens
from synnefo_tx.identity.tokens.routes import IdentityRoutes
from synnefo_tx.identity.users.operations import Users
from synnefo_tx.identity.users.passwords import Passwords, Threads
from synnefo_tx.operation.gauges import Gauges
from synnefo_tx.operation.health import Health, Unwell
from synnefo_tx.operation.routes import OperationRoutes
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.rest.misses import Misses
from synnefo_tx.rest.site import ApiSite
from synnefo_tx.seal import Sealer
from synnefo_tx.settings import Settings

MISSES_WINDOW_SECONDS = 300.0
REFRESH_PAUSE_SECONDS = 1.0


@frozen
class Edges:
    """What a process uses of the world: a clock, randomness, ids, other hosts, threads; the other
    processes, among which it may be elected, and news of what they committed; and a broker, if
    there is one.
    """

    clock: IReactorTime
    entropy: Callable[[int], bytes]
    new_id: Callable[[], str]
    agent_for: AgentFor
    hashing: Threads
    electorate: Electorate = Factory(Unopposed)
    metrics_folder: Path | None = None
    hearing: Hearing = Factory(Deaf)
    broker: Broker | None = None


@frozen
class IdentityParts:
    """Users, tokens, quota."""

    tokens: Tokens
    users: Users
    access: AccessChanges
    logins: Logins
    quota: Quota
    resources: Resources
    projects: Projects


@frozen
class GanetiParts:
    """Clusters and jobs."""

    backends: Backends
    jobs: Jobs


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


@frozen
class ConsoleParts:
    """Servers' screens."""

    tickets: Tickets
    places: Places
    consoles: ServerConsoles


@frozen
class BrokerParts:
    """News by message; ``refreshes`` reads the figures of clusters that changed."""

    broker: Broker
    topology: Topology
    consumer: Consumer
    refreshes: Soon


@frozen
class Application:
    """Everything of one process, wired; nothing is started."""

    settings: Settings
    database: Database
    metrics: Metrics
    identity: IdentityParts
    ganeti: GanetiParts
    compute: ComputeParts
    console: ConsoleParts
    poller: Poller
    job_waiting: JobWaiting
    broker: BrokerParts | None
    gauges: Gauges
    health: Health
    misses: Misses
    site: ApiSite


def build(settings: Settings, database: Database, sealer: Sealer, edges: Edges) -> Application:
    """Wire a process."""
    metrics = Metrics(edges.metrics_folder)
    identity = build_identity(settings, database, edges)
    ganeti = build_ganeti(settings, database, sealer, edges)
    compute = build_compute(settings, database, sealer, edges, identity, ganeti)
    ganeti.jobs.subscribe("server", compute.events)
    ganeti.jobs.subscribe("network", compute.network_events)
    poller = Poller(
        database,
        ganeti.backends,
        ganeti.jobs,
        compute.reconciliation.follow,
        edges.clock,
        settings.ganeti,
        edges.electorate,
    )
    edges.hearing.subscribe(CHANNEL, poller.heard)
    broker = build_broker(settings, database, edges, ganeti, compute, poller)
    consumer = None if broker is None else broker.consumer
    gauges = Gauges(metrics, database, poller, ganeti.backends, consumer)
    site = ApiSite(settings.http, identity.tokens.authenticate, edges.clock, metrics, edges.new_id)
    app = Application(
        settings=settings,
        database=database,
        metrics=metrics,
        identity=identity,
        ganeti=ganeti,
        compute=compute,
        console=build_console(settings, database, sealer, edges, identity, ganeti, compute.servers),
        poller=poller,
        job_waiting=JobWaiting(database, poller.look, edges.clock, settings.ganeti),
        broker=broker,
        gauges=gauges,
        health=Health(edges.clock),
        misses=Misses(database, settings.compute.vmapi_misses_max, MISSES_WINDOW_SECONDS),
        site=site,
    )
    mount(app, edges.clock)
    return app


def build_identity(settings: Settings, database: Database, edges: Edges) -> IdentityParts:
    """Users, tokens, quota."""
    own = settings.identity
    access = AccessChanges(database, own, edges.hearing, edges.clock)
    cache = AccessCache(access, edges.clock, own.tokens_kept_max)
    tokens = Tokens(database, own, edges.entropy, cache)
    passwords = Passwords(edges.hashing, edges.entropy)
    failures = LoginFailures(database, own)
    return IdentityParts(
        tokens=tokens,
        users=Users(database, passwords, tokens, edges.entropy, edges.new_id),
        access=access,
        logins=Logins(database, tokens, passwords, failures),
        quota=Quota(database),
        resources=Resources(database),
        projects=Projects(database),
    )


def build_ganeti(
    settings: Settings, database: Database, sealer: Sealer, edges: Edges
) -> GanetiParts:
    """Clusters and jobs."""
    backends = Backends(database, sealer, edges.agent_for, edges.clock, settings.ganeti)
    return GanetiParts(backends, Jobs(database, backends, edges.clock, settings.ganeti))


def build_compute(
    settings: Settings,
    database: Database,
    sealer: Sealer,
    edges: Edges,
    identity: IdentityParts,
    ganeti: GanetiParts,
) -> ComputeParts:
    """Servers and what they are made of."""
    own, quota, jobs = settings.compute, identity.quota, ganeti.jobs
    images = Images(database, edges.new_id)
    networks = Networks(database, quota, jobs, own, edges.new_id)
    ports = Ports(database, networks, own.nics_per_instance_max)
    parameters = Parameters(database, sealer, own, settings.site_url, edges.entropy)
    pages = ServerPages(database, own, f"{settings.site_url}/compute/v2.0")
    new_id, entropy = edges.new_id, edges.entropy
    servers = Servers(
        database, quota, jobs, images, networks, ports, parameters, pages, own, new_id, entropy
    )
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
        actions=ServerActions(database, servers, quota, jobs, own, edges.new_id),
        events=events,
        network_events=NetworkEvents(database, networks),
        inspection=ServerInspection(database, servers, ganeti.backends, own.backend_prefix_id),
        reconciliation=Reconciliation(database, events, ganeti.backends, own.backend_prefix_id),
        usage=ServerUsage(),
    )


def build_console(
    settings: Settings,
    database: Database,
    sealer: Sealer,
    edges: Edges,
    identity: IdentityParts,
    ganeti: GanetiParts,
    servers: Servers,
) -> ConsoleParts:
    """Tickets to servers' screens, and who looks at them."""
    own = settings.console
    tickets = Tickets(sealer, edges.entropy, own.ticket_seconds)
    places = Places(own.sessions_per_user_max, own.sessions_per_server_max)
    consoles = ServerConsoles(
        database, servers, ganeti.backends, tickets, places, identity.access, edges.clock, settings
    )
    return ConsoleParts(tickets, places, consoles)


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


def mount(app: Application, clock: IReactorTime) -> None:
    """Serve every endpoint at its place."""
    settings, compute, site = app.settings, app.compute, app.site
    url = settings.site_url
    _ask_parts(app.health, app, clock)
    site.mount("", OperationRoutes(app.health, app.metrics, app.gauges, clock))
    catalog = Catalog(url)
    site.mount("/identity", IdentityRoutes(app.identity.tokens, app.identity.logins, catalog))
    site.mount("/account/v1.0", AccountRoutes(app.identity.quota, app.identity.resources))
    site.mount("/compute", ComputeVersions(url))
    site.mount("/network", NetworkVersions(url))
    base = f"{url}/compute/v2.0"
    site.mount(
        "/compute/v2.0",
        FlavorRoutes(compute.flavors, base),
        ImageRoutes(compute.images, base),
        ServerRoutes(
            compute.servers, compute.pages, compute.actions, app.console.consoles, settings.compute
        ),
    )
    site.mount(
        "/network/v2.0",
        NetworkRoutes(compute.networks, compute.ports, settings.compute, f"{url}/network/v2.0"),
    )
    site.mount("/vmapi/v1.0", ParameterRoutes(compute.parameters, app.misses))


def _ask_parts(health: Health, app: Application, clock: IReactorTime) -> None:
    async def database() -> str:
        await app.database.read("SELECT 1")
        return f"{app.database.busy_count} of {app.database.limits.connections} connections in use"

    async def clusters() -> str:
        watches = await app.gauges.watches(clock.seconds())
        silent = [each.backend for each in watches if each.silent]
        if silent:
            raise Unwell(f"nobody watches clusters: {', '.join(map(str, silent))}")
        failing = [each.backend for each in watches if each.failing]
        if failing and len(failing) == len(watches):
            raise Unwell(f"no cluster answers: {', '.join(map(str, failing))}")
        return f"{len(watches) - len(failing)} of {len(watches)} clusters answer"

    health.add("database", database)
    health.add("clusters", clusters)
    parts = app.broker
    if parts is not None:
        health.add("broker", partial(_broker_health, parts.consumer))


async def _broker_health(consumer: Consumer) -> str:
    if not consumer.running:
        return "this process takes no messages"
    if consumer.session.link is None:
        raise Unwell("no broker answers")
    return f"{consumer.in_flight} messages in hand"
