"""Health and measures: wired and mounted."""

from __future__ import annotations

from functools import partial

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from synnefo_tx.application.broker import BrokerParts
from synnefo_tx.application.edges import Edges
from synnefo_tx.application.ganeti import GanetiParts
from synnefo_tx.db.pool import Database
from synnefo_tx.ganeti.broker.consumer import Consumer
from synnefo_tx.ganeti.poller import Poller
from synnefo_tx.mail.operations import Mails
from synnefo_tx.operation.gauges import Gauges
from synnefo_tx.operation.health import Health, Unwell
from synnefo_tx.operation.mails import MailGauges
from synnefo_tx.operation.routes import OperationRoutes
from synnefo_tx.operation.threads import ThreadGauges
from synnefo_tx.rest.metrics import Metrics
from synnefo_tx.rest.site import ApiSite


@frozen
class OperationParts:
    """What operators watch."""

    gauges: Gauges
    health: Health


def build_operation(
    database: Database,
    metrics: Metrics,
    poller: Poller,
    ganeti: GanetiParts,
    broker: BrokerParts | None,
    edges: Edges,
    mails: Mails,
) -> OperationParts:
    """Health and measures."""
    consumer = None if broker is None else broker.consumer
    threads = ThreadGauges(metrics, edges.threads)
    mail_gauges = MailGauges(metrics, mails)
    gauges = Gauges(metrics, database, poller, ganeti.backends, consumer, threads, mail_gauges)
    clock = edges.clock
    health = Health(clock)
    health.add("database", partial(_database_health, database))
    health.add("clusters", partial(_clusters_health, gauges, clock))
    if consumer is not None:
        health.add("broker", partial(_broker_health, consumer))
    return OperationParts(gauges, health)


def mount_operation(
    site: ApiSite, metrics: Metrics, operation: OperationParts, clock: IReactorTime
) -> None:
    """Serve health and measures."""
    site.mount("", OperationRoutes(operation.health, metrics, operation.gauges, clock))


async def _database_health(database: Database) -> str:
    await database.read("SELECT 1")
    return f"{database.busy_count} of {database.limits.connections} connections in use"


async def _clusters_health(gauges: Gauges, clock: IReactorTime) -> str:
    watches = await gauges.watches(clock.seconds())
    silent = [each.backend for each in watches if each.silent]
    if silent:
        raise Unwell(f"nobody watches clusters: {', '.join(map(str, silent))}")
    failing = [each.backend for each in watches if each.failing]
    if failing and len(failing) == len(watches):
        raise Unwell(f"no cluster answers: {', '.join(map(str, failing))}")
    return f"{len(watches) - len(failing)} of {len(watches)} clusters answer"


async def _broker_health(consumer: Consumer) -> str:
    if not consumer.running:
        return "this process takes no messages"
    if consumer.session.link is None:
        raise Unwell("no broker answers")
    return f"{consumer.in_flight} messages in hand"
