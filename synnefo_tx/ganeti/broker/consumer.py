"""Takes messages from the queues, has them applied, and says so to the broker.

A message is acknowledged after what it says is committed; one that nobody can read, or that shows a
defect, goes to the dead letters. While the database is away messages are kept here and tried again
after a pause. They are never put back into their queue, because RabbitMQ counts that and after
some times drops a message; it delivers them again, to somebody, when this connection ends.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from synnefo_tx.ganeti.broker.client import Entropy
from synnefo_tx.ganeti.broker.interface import Broker, Link
from synnefo_tx.ganeti.broker.model import Delivery, Outcome
from synnefo_tx.ganeti.broker.session import Session, pause
from synnefo_tx.ganeti.broker.topology import Topology, declare

BATCH_MAX = 32
STOP_LIMIT_SECONDS = 5.0

Apply = Callable[[Sequence[Delivery]], Awaitable[Sequence[Outcome]]]


@frozen
class _Held:
    """A delivery that is not settled, and the link that it came over."""

    link: Link
    delivery: Delivery


class Consumer(Service):
    """Consumes all queues of a topology, which it declares on every link.

    ``apply`` is given up to 32 deliveries at a time and says what became of each. ``counts`` holds
    how many messages had which outcome; ``last_settled`` the clock's time of the latest.
    """

    log = Logger()

    def __init__(
        self,
        broker: Broker,
        topology: Topology,
        apply: Apply,
        clock: IReactorTime,
        entropy: Entropy,
        *,
        prefetch: int = 64,
    ) -> None:
        self.session = Session("consumer", broker, self._opened, clock, entropy)
        self.counts: Counter[Outcome] = Counter()
        self.last_settled: float | None = None
        self._topology = topology
        self._apply = apply
        self._clock = clock
        self._entropy = entropy
        self._prefetch = prefetch
        self._waiting: deque[_Held] = deque()
        self._under_way = 0
        self._failures = 0
        self._link: Link | None = None
        self._wake: Deferred[None] | None = None
        self._resting: Deferred[None] | None = None
        self._task: Deferred[None] | None = None

    @property
    def in_flight(self) -> int:
        """Messages that were delivered and are not settled."""
        return len(self._waiting) + self._under_way

    def startService(self) -> None:
        super().startService()
        self._task = Deferred.fromCoroutine(self._run())
        self._task.addErrback(lambda failure: self.log.failure("the consumer ended", failure))
        self.session.startService()

    async def stopService(self) -> None:
        """Let what is being applied come to its end within a limit; the rest stays queued."""
        super().stopService()
        self._waiting.clear()
        self._awake()
        if self._resting is not None:
            self._resting.cancel()
        task, self._task = self._task, None
        if task is not None:
            await task.addTimeout(STOP_LIMIT_SECONDS, self._clock)
        await self.session.stopService()

    async def _opened(self, link: Link) -> None:
        # What came over another link is delivered again.
        self._waiting.clear()
        self._link = link
        await declare(link, self._topology)
        for queue in self._topology.keys:
            await link.consume(queue, self._prefetch, lambda each: self._take(link, each))

    def _take(self, link: Link, delivery: Delivery) -> None:
        if self.running:
            self._waiting.append(_Held(link, delivery))
            self._awake()

    def _awake(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.callback(None)

    async def _run(self) -> None:
        try:
            while self.running:
                if self._waiting:
                    await self._one_batch()
                else:
                    self._wake = Deferred()
                    await self._wake
                    # What arrives at the same time comes into the same batch.
                    await deferLater(self._clock, 0)
        except CancelledError:
            self.log.warn("the consumer stops; what is not applied will be delivered again")

    async def _one_batch(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
        self._under_way = len(batch)
        try:
            outcomes = await self._apply([each.delivery for each in batch])
        except CancelledError:
            raise
        except Exception:
            self.log.failure("messages could not be applied")
            outcomes = [Outcome.DEAD] * len(batch)
        finally:
            self._under_way = 0
        self._settle(batch, outcomes)
        if self._failures and self.running:
            fraction = int.from_bytes(self._entropy(2), "big") / 0xFFFF
            self._resting = deferLater(self._clock, pause(self._failures, fraction))
            await self._resting

    def _settle(self, batch: Sequence[_Held], outcomes: Sequence[Outcome]) -> None:
        self.counts.update(outcomes)
        done: list[int] = []
        postponed = 0
        for held, outcome in zip(batch, outcomes, strict=True):
            if outcome is Outcome.LATER:
                postponed += 1
            if held.link is not self._link:
                continue
            if outcome is Outcome.LATER:
                self._waiting.append(held)
            elif outcome is Outcome.DEAD:
                held.link.reject(held.delivery.tag, requeue=False)
            else:
                done.append(held.delivery.tag)
        # A pause only when nothing could be done: one slow message does not hold up the others.
        self._failures = self._failures + 1 if postponed == len(batch) else 0
        if postponed < len(batch):
            self.last_settled = self._clock.seconds()
        if done and self._link is not None:
            self._acknowledge(self._link, done)

    def _acknowledge(self, link: Link, done: Sequence[int]) -> None:
        """All at once, unless that would include a message that waits here."""
        last = max(done)
        if all(each.delivery.tag > last for each in self._waiting):
            link.acknowledge(last, multiple=True)
            return
        for tag in done:
            link.acknowledge(tag)
