"""Messages in the simulated world: a source of events beside each cluster, one broker for all.

A message passes three gates: ``publish`` (the source, to the broker), ``delivery`` (the broker, to
a controller) and ``ack``. It may be lost, come twice, or overtake others at any of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from synnefo_tx.ganeti.broker.memory import MemoryBroker, MemoryLink
from synnefo_tx.ganeti.broker.model import BrokerFailure, BrokerLost, Delivery, Message
from synnefo_tx.ganeti.broker.topology import Topology
from synnefo_tx.ganeti.jobs.model import REASON_PREFIX
from synnefo_tx.ganeti.memory import MemoryGaneti
from synnefo_tx.ganeti.memory.model import Job
from tests.simulation.gates import NOT_YET, Gate
from tests.support.news import message

if TYPE_CHECKING:
    from tests.simulation.controller import Controller
    from tests.simulation.world import World

SOURCE = -1
"""The number of what is no controller."""
RETRY_SECONDS = 1.0
TOPOLOGY = Topology()


class EventSource:
    """Publishes each status of each job of a cluster, until the broker has it."""

    def __init__(self, world: World, cluster: MemoryGaneti) -> None:
        self._world = world
        self._name = cluster.cluster.config.name
        self._told: dict[int, str] = {}
        cluster.jobs.watch(self._changed)

    def _changed(self, job: Job) -> None:
        if self._told.get(job.id) == job.status:
            return
        self._told[job.id] = job.status
        kind, document = self._message(job)
        key = TOPOLOGY.keys[f"{TOPOLOGY.prefix}-events-{kind}"]
        body = json.dumps(document).encode()
        self._publish(Message(TOPOLOGY.exchange, key, body), f"{key} {job.id} {job.status}")

    def _message(self, job: Job) -> tuple[str, dict[str, Any]]:
        op = job.ops[0]
        reasons = [each[1] for each in op.input["reason"] if each[1].startswith(REASON_PREFIX)]
        fields: dict[str, Any] = {}
        if reasons:
            fields["intent"] = reasons[0].removeprefix(REASON_PREFIX)
        if "NETWORK" in op.input["OP_ID"]:
            fields |= {"type": "ganeti-network-status", "network": op.input["network_name"]}
        document = message(
            self._name,
            op.input.get("instance_name", ""),
            op.input["OP_ID"],
            job.status,
            job.id,
            self._world.clock.seconds(),
            result=op.result if job.final else None,
            **fields,
        )
        return ("network" if "network" in document else "op"), document

    def _publish(self, wanted: Message, text: str) -> None:
        gate = Gate(
            controller=SOURCE,
            kind="publish",
            text=text,
            effect=lambda: self._arrive(wanted, text),
            answer=lambda outcome: None,
            refused=lambda: Failure(BrokerLost("simulated")),
            cut=lambda: Failure(BrokerLost("simulated")),
        )
        self._world.wait_at(gate)

    def _arrive(self, wanted: Message, text: str) -> None:
        broker = self._world.broker
        if broker.running and broker.queues:
            broker.deposit(wanted)
        else:
            # The source keeps what is not confirmed.
            self._world.clock.callLater(RETRY_SECONDS, self._publish, wanted, text)


class GateBroker:
    """The broker as one controller sees it."""

    def __init__(self, world: World, controller: Controller, number: int) -> None:
        self._world = world
        self._controller = controller
        self._number = number
        self.links: list[GateLink] = []

    async def connect(self) -> GateLink:
        """A new link; raises BrokerLost while the broker is stopped."""
        broker = self._world.broker
        await deferLater(self._controller.reactor, broker.travel_seconds)
        if not broker.running:
            raise BrokerLost("simulated: connection refused")
        link = GateLink(self._world, self._controller, self._number, broker)
        broker.links.append(link)
        self.links.append(link)
        return link

    def die(self) -> None:
        """The controller is gone; the broker notices."""
        for link in self.links:
            link.end(BrokerLost("simulated: the other end died"))


class GateLink(MemoryLink):
    """A link whose deliveries and acknowledgements wait at gates, and that dies with its end."""

    def __init__(
        self, world: World, controller: Controller, number: int, broker: MemoryBroker
    ) -> None:
        super().__init__(broker)
        self._world = world
        self._controller = controller
        self._number = number
        self._clock = controller.reactor
        self._travel_seconds = broker.travel_seconds
        self._lost: BrokerFailure | None = None
        self._told: list[Deferred[BrokerFailure]] = []
        # In one direction a connection keeps the order; the two directions have none.
        self._lines: dict[str, list[Gate]] = {"delivery": [], "ack": []}

    async def turn(self) -> None:
        await deferLater(self._clock, self._travel_seconds)
        if self._lost is not None:
            raise self._lost

    def deliver(self, receive: Callable[[Delivery], None], delivery: Delivery) -> None:
        if self._lost is None:
            text = f"{delivery.queue} {delivery.tag} {delivery.body!r}"
            self._wait("delivery", text, lambda: self._arrived(receive, delivery))

    def _arrived(self, receive: Callable[[Delivery], None], delivery: Delivery) -> None:
        if self._lost is None:
            receive(delivery)

    def acknowledge(self, tag: int, *, multiple: bool = False) -> None:
        def arrive() -> None:
            MemoryLink.acknowledge(self, tag, multiple=multiple)

        self._wait("ack", f"{tag}{' and before' if multiple else ''}", arrive)

    def reject(self, tag: int, *, requeue: bool) -> None:
        def arrive() -> None:
            MemoryLink.reject(self, tag, requeue=requeue)

        self._wait("ack", f"{tag} rejected", arrive)

    def _wait(self, kind: str, text: str, effect: Callable[[], None]) -> None:
        line = self._lines[kind]

        def pass_on() -> None:
            if gate in line:
                line.remove(gate)
            effect()

        gate = Gate(
            controller=self._number,
            kind=kind,
            text=text,
            effect=pass_on,
            answer=lambda outcome: None,
            refused=self._cut,
            cut=self._cut,
            is_ready=lambda: gate is line[0] or gate not in line,
        )
        line.append(gate)
        self._world.wait_at(gate)

    def _cut(self) -> Any:
        self.end(BrokerLost("simulated: the connection was cut"))
        return NOT_YET

    async def until_lost(self) -> BrokerFailure:
        if self._lost is not None:
            return self._lost
        waiting: Deferred[BrokerFailure] = Deferred(lambda each: self._told.remove(each))
        self._told.append(waiting)
        return await waiting

    def end(self, failure: BrokerFailure) -> None:
        if self._lost is not None:
            return
        self._lost = failure
        for line in self._lines.values():
            for gate in line:
                self._world.withdraw(gate)
            line.clear()
        super().end(failure)
        told, self._told = self._told, []
        if self._controller.is_dead:
            self._controller.asked.append(told)
            return
        for each in told:
            each.callback(failure)
