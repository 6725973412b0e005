"""Our side of ``bench.events``: the consumer on a broker in memory, the application's own objects.

``python -m bench.apply_events URL`` reads a count per line, has as many messages consumed, and
writes ``done``. Four messages tell of each open job, in turn for 32 jobs at a time.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from attrs import evolve
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react
from twisted.internet.threads import deferToThread

from synnefo_tx import application
from synnefo_tx.db.connect import connector
from synnefo_tx.db.pool import Database, PoolLimits
from synnefo_tx.ganeti.broker.memory import MemoryBroker
from synnefo_tx.ganeti.broker.model import Message
from synnefo_tx.service import edges_of
from synnefo_tx.settings import DatabaseSettings, Settings
from synnefo_tx.threads import ThreadService
from tests.support.keyring import fixed_keyring
from tests.support.news import message

reactor: Any = _reactor
STATUSES = ("queued", "waiting", "running", "success")
GROUP = 32
LOOK_SECONDS = 0.002
OPEN = """
SELECT i.id::text, i.instance, i.job_id, b.clustername FROM intents i JOIN backends b
ON b.id = i.backend WHERE i.ended IS NULL AND i.request_id = 'bench' ORDER BY i.job_id
"""


async def serve(url: str) -> None:
    """Serve the counts that come by standard input."""
    settings = Settings()
    opened = connector(reactor, url, DatabaseSettings())
    database = Database(opened, reactor, PoolLimits())
    broker = MemoryBroker(reactor, travel_seconds=0.0)
    threads = ThreadService(settings.threads, reactor)
    edges = evolve(edges_of(reactor, settings, threads.pools), broker=broker)
    app = application.build(settings, database, fixed_keyring(), edges)
    assert app.broker is not None
    parts, consumer = app.broker, app.broker.consumer
    consumer.startService()
    bodies = messages(await database.read(OPEN))
    key = next(key for key in parts.topology.keys.values() if key.endswith(".op"))
    try:
        while line := await deferToThread(sys.stdin.readline):
            wanted = consumer.counts.total() + int(line)
            for _ in range(int(line)):
                broker.deposit(Message(parts.topology.exchange, key, next(bodies)))
            while consumer.counts.total() < wanted:
                await deferLater(reactor, LOOK_SECONDS)
            print("done", flush=True)
    finally:
        await consumer.stopService()
        await parts.refreshes.stop()
        threads.stopService()
        await database.close()


def messages(jobs: list[Any]) -> Any:
    """The bodies: of each group of jobs all that are queued, then all that wait, and so on."""
    for begin in range(0, len(jobs), GROUP):
        for status in STATUSES:
            for intent, instance, job_id, cluster in jobs[begin : begin + GROUP]:
                told = message(
                    cluster, instance, "OP_INSTANCE_SHUTDOWN", status, job_id, intent=intent
                )
                yield json.dumps(told).encode()


if __name__ == "__main__":
    react(lambda _: Deferred.fromCoroutine(serve(sys.argv[1])))
