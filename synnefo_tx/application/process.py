"""One process, wired."""

from __future__ import annotations

from attrs import frozen

from synnefo_tx.application.broker import BrokerParts, build_broker
from synnefo_tx.application.changes import ChangeParts, build_changes, mount_changes
from synnefo_tx.application.compute import ComputeParts, build_compute, mount_compute
from synnefo_tx.application.console import ConsoleParts, build_console
from synnefo_tx.application.doors import DoorParts, build_doors
from synnefo_tx.application.edges import Edges
from synnefo_tx.application.ganeti import GanetiParts, build_ganeti
from synnefo_tx.application.identity import IdentityParts, build_identity, mount_identity, ways
from synnefo_tx.application.journal import build_journal, mount_journal
from synnefo_tx.application.keyring import build_rotation
from synnefo_tx.application.mail import build_mail
from synnefo_tx.application.operation import OperationParts, build_operation, mount_operation
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.jobs.waiting import JobWaiting
from synnefo_tx.ganeti.poller import CHANNEL, Poller
from synnefo_tx.journal.operations import Journal
from synnefo_tx.keyring.operations import Keyring
from synnefo_tx.keyring.rotation import Rotation
from synnefo_tx.mail.operations import Mails
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.rest.site import ApiSite
from synnefo_tx.settings import Settings
from synnefo_tx.threads import ThreadPools


@frozen
class Application:
    """Everything of one process, wired; nothing is started."""

    settings: Settings
    database: Database
    metrics: Metrics
    identity: IdentityParts
    ganeti: GanetiParts
    compute: ComputeParts
    changes: ChangeParts
    console: ConsoleParts
    poller: Poller
    job_waiting: JobWaiting
    broker: BrokerParts | None
    operation: OperationParts
    journal: Journal
    mails: Mails
    threads: ThreadPools
    rotation: Rotation
    doors: DoorParts

    @property
    def site(self) -> ApiSite:
        """Where all endpoints are."""
        return self.doors.site


def build(settings: Settings, database: Database, keyring: Keyring, edges: Edges) -> Application:
    """Wire a process."""
    metrics = Metrics(edges.metrics_folder, edges.threads.files)
    mails = build_mail(settings, database, keyring, edges)
    identity = build_identity(settings, database, edges, mails)
    ganeti = build_ganeti(settings, database, keyring, edges)
    compute = build_compute(settings, database, keyring, edges, identity, ganeti)
    console = build_console(settings, database, keyring, edges, identity, ganeti, compute.servers)
    changes = build_changes(settings, database, edges, metrics, identity, compute)
    poller = _poller(settings, database, edges, ganeti, compute)
    broker = build_broker(settings, database, edges, ganeti, compute, poller)
    operation = build_operation(database, metrics, poller, ganeti, broker, edges, mails)
    known = ways(settings, identity)
    doors = build_doors(settings, database, keyring, edges, metrics, known)
    site = doors.site
    mount_operation(site, metrics, operation, edges.clock)
    mount_changes(site, changes)
    journal = build_journal(settings, database)
    mount_journal(site, journal)
    mount_identity(site, settings, identity)
    mount_compute(site, settings, compute, console.consoles)
    return Application(
        settings=settings,
        database=database,
        metrics=metrics,
        identity=identity,
        ganeti=ganeti,
        compute=compute,
        changes=changes,
        console=console,
        poller=poller,
        job_waiting=JobWaiting(database, poller.look, edges.clock, settings.ganeti),
        broker=broker,
        operation=operation,
        journal=journal,
        mails=mails,
        threads=edges.threads,
        rotation=build_rotation(database, keyring, edges),
        doors=doors,
    )


def _poller(
    settings: Settings, database: Database, edges: Edges, ganeti: GanetiParts, compute: ComputeParts
) -> Poller:
    """Who looks at clusters, and who hears of their jobs."""
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
    return poller
