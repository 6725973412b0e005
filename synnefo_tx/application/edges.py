"""What a process uses of the world."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import Factory, frozen
from twisted.internet.interfaces import IReactorTime

from synnefo_tx.db.electorate import Electorate, Unopposed
from synnefo_tx.db.listener import Deaf, Hearing
from synnefo_tx.ganeti.backends.operations import AgentFor
from synnefo_tx.ganeti.broker.interface import Broker
from synnefo_tx.mail.model import Carrier, NoCarrier
from synnefo_tx.threads import ThreadPools


@frozen
class Edges:
    """What a process uses of the world: a clock, randomness, ids, other hosts, threads, who
    carries mails; the other processes, among which it may be elected, and news of what they
    committed; and a broker, if there is one.
    """

    clock: IReactorTime
    entropy: Callable[[int], bytes]
    new_id: Callable[[], str]
    agent_for: AgentFor
    threads: ThreadPools
    electorate: Electorate = Factory(Unopposed)
    metrics_folder: Path | None = None
    hearing: Hearing = Factory(Deaf)
    broker: Broker | None = None
    carrier: Carrier = Factory(NoCarrier)
