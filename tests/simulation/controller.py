"""A controller process in the simulated world: the production objects, at gates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectError, ConnectionLost
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone, readBody
from twisted.web.iweb import IAgent
from zope.interface import implementer

from synnefo_tx.application import Edges, build
from synnefo_tx.db.pool import Database, PoolLimits
from synnefo_tx.ganeti.memory.agent import MemoryAgent
from synnefo_tx.ganeti.rapi import ClusterEndpoint
from synnefo_tx.service import timers
from tests.simulation.connection import GateConnection
from tests.simulation.gates import NOT_YET, Gate
from tests.simulation.messages import GateBroker
from tests.support.accounts import IN_PLACE
from tests.support.keyring import fixed_keyring

if TYPE_CHECKING:
    from tests.simulation.world import World


@implementer(IReactorTime)
class ControllerClock:
    """The world's clock as one process sees it: its timers die with it."""

    def __init__(self, clock: Clock, paused_for: Callable[[], float]) -> None:
        self._clock = clock
        self._paused_for = paused_for
        self._ignored: list[object] = []
        self.is_dead = False

    def seconds(self) -> float:
        return self._clock.seconds()

    def callLater(
        self, delay: float, callable: Callable[..., object], *args: object, **kw: object
    ) -> IDelayedCall:
        return self._clock.callLater(delay, self._fire, callable, args, kw)

    def getDelayedCalls(self) -> list[IDelayedCall]:
        return list(self._clock.getDelayedCalls())

    def _fire(self, callable: Callable[..., object], args: Any, kw: Any) -> None:
        if self.is_dead:
            self._ignored.append((callable, args, kw))
        elif rest := self._paused_for():
            self._clock.callLater(rest, self._fire, callable, args, kw)
        else:
            callable(*args, **kw)


class Controller:
    """One life of a controller process."""

    def __init__(
        self,
        world: World,
        number: int,
        new_id: Callable[[], str],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._world = world
        self._number = number
        self._connections: list[GateConnection] = []
        self.asked: list[object] = []
        self.reactor = ControllerClock(world.clock, lambda: world.paused_for(number))
        self._broker = GateBroker(world, self, number)
        settings = world.settings
        database = Database(self._connect, self.reactor, PoolLimits())
        edges = Edges(
            clock=self.reactor,
            entropy=entropy,
            new_id=new_id,
            agent_for=self._agent_for,
            threads=IN_PLACE,
            broker=self._broker if world.messages else None,
        )
        self.app = build(settings, database, fixed_keyring(), edges)
        site: Any = self.app.site.site()
        self.http = MemoryAgent(site, self.reactor)
        self._flush: Callable[[], None] = site.after_write
        # The world goes back to how it was, and tables that are made would stay; mails have no
        # part in it.
        made = timers(self.app, self.reactor)
        self._timers = [each for each in made if each.name not in ("journal", "mail")]

    def start(self) -> None:
        """Do what a process with all roles does by itself."""
        self.app.poller.startService()
        if self._world.follows:
            self.app.changes.announcer.startService()
            self.app.changes.sequencer.startService()
        if self.app.broker is not None:
            self.app.broker.consumer.startService()
        for timer in self._timers:
            timer.startService()

    def flush(self) -> None:
        """Move the bytes between the controller and its clients."""
        self._flush()

    def die(self) -> None:
        """End at once; what waited stays referenced, so that nobody collects and wakes it."""
        self.reactor.is_dead = True
        for connection in self._connections:
            connection.die()
        self._broker.die()

    @property
    def is_dead(self) -> bool:
        return self.reactor.is_dead

    def _connect(self) -> Deferred[GateConnection]:
        connection = GateConnection(self._world, self._number)
        if self.is_dead:
            connection.die()
        self._connections.append(connection)
        return succeed(connection)

    def _agent_for(self, endpoint: ClusterEndpoint) -> IAgent:
        cluster = self._world.clusters[endpoint.port - 5080]
        return GateAgent(self._world, self, self._number, cluster.agent())


@implementer(IAgent)
class GateAgent:
    """Requests to a cluster: one gate before each, one before its answer."""

    def __init__(self, world: World, controller: Controller, number: int, agent: IAgent) -> None:
        self._world = world
        self._controller = controller
        self._number = number
        self._agent = agent

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None
    ) -> Deferred[Any]:
        text = f"{method.decode()} {uri.decode()}"
        waiting: list[Gate] = []

        def give_up(_: Deferred[Any]) -> None:
            for gate in waiting:
                self._world.withdraw(gate)

        asked: Deferred[Any] = Deferred(give_up)
        self._controller.asked.append(asked)
        if self._controller.is_dead:
            return fail(Failure(ConnectionLost()))

        def tell(outcome: Any) -> None:
            if not asked.called:
                asked.callback(outcome)

        def send() -> object:
            reply = self._agent.request(method, uri, headers, bodyProducer)
            reply.addCallback(_whole).addBoth(receive)
            return NOT_YET

        def receive(outcome: Any) -> None:
            if not self._controller.is_dead and not asked.called:
                self._wait(waiting, "reply", text, lambda: outcome, tell)

        self._wait(waiting, "request", text, send, tell)
        return asked

    def _wait(
        self,
        waiting: list[Gate],
        kind: str,
        text: str,
        effect: Callable[[], Any],
        tell: Callable[[Any], None],
    ) -> None:
        gate = Gate(
            controller=self._number,
            kind=kind,
            text=text,
            effect=effect,
            answer=tell,
            refused=lambda: Failure(ConnectError(string="simulated")),
            cut=lambda: Failure(ConnectionLost()),
        )
        waiting.append(gate)
        self._world.wait_at(gate)


class WholeResponse:
    """A response that has arrived completely."""

    def __init__(self, response: Any, body: bytes) -> None:
        self.version, self.phrase = response.version, response.phrase
        self.code, self.headers, self.length = response.code, response.headers, len(body)
        self.request = response.request
        self._body = body

    def __str__(self) -> str:
        return f"{self.code} {self._body[:200]!r}"

    def deliverBody(self, protocol: Any) -> None:
        protocol.dataReceived(self._body)
        protocol.connectionLost(Failure(ResponseDone()))


def _whole(response: Any) -> Deferred[WholeResponse]:
    body: Deferred[bytes] = readBody(response)
    return body.addCallback(lambda content: WholeResponse(response, content))
